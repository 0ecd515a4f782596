"""Pods of a Deployment on an ACI virtual node of the cluster."""
