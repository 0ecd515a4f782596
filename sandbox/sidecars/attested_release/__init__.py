"""Attested key release from inside a container group: report, attestation token, released key.

Used by the stand-in for Microsoft's encfs sidecar. The protocol is the sidecar's (confidential-sidecar-containers
v2.12), so that the sandbox's services see the requests that Azure's services would see. It runs in the image on the
standard library, Debian's python3-cryptography and the openssl command alone.
"""
