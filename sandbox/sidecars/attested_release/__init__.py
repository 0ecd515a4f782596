"""Attested key release from inside a container group: report, attestation token, released key.

Used by the stand-ins for Microsoft's encfs and skr sidecars. The protocol is theirs (confidential-sidecar-containers
v2.12), so that the sandbox's services see the requests that Azure's services would see. It runs in the images on the
standard library, Debian's python3-cryptography and the openssl command alone.
"""
