"""Stand-in for Microsoft's encfs sidecar: opens sealed file systems with keys that an attested release gives it.

It takes the real sidecar's arguments and leaves the same traces (the links, `/result`), but mounts nothing: the image
is downloaded, decrypted offline and unpacked, so that it runs where there is no FUSE, loop device or device-mapper.
"""
