#!/bin/sh
exec /usr/bin/python3 -I -m encfs
