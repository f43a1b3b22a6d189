"""What can be checked of the deployment without Azure and without a Bicep compiler."""
