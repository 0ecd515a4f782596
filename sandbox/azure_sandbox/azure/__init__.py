"""Stand-ins for the Azure services that have no emulator, as one aiohttp application with a router for each."""
