"""Thin async clients of the Azure services: the one place that imports an Azure SDK.

Each module speaks to one service; `conversion` turns the libraries' errors into ours. Proxy and certificate authority
come from the environment (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`), nothing else redirects a request.
"""
