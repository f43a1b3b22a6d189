"""The deployment to Azure and its checks."""
