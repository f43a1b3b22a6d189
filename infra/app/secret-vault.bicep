// Only where the deployer chose a secret: a vault with that one secret, and the right to read it, on it alone.
param name string
param location string
param tags { *: string }
param secretName string
param identityName string
param isPublic bool

// An empty value would overwrite a good secret: a deployment without it fails here instead.
@secure()
@minLength(1)
param secretValue string

var roles = {
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    // The shortest that the service takes, and no purge protection: `azd down --purge` can remove everything at once.
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: isPublic ? 'Allow' : 'Deny'
      bypass: 'AzureServices'
    }
  }
}

resource secret 'Microsoft.KeyVault/vaults/secrets@2025-05-01' = {
  parent: vault
  name: secretName
  properties: {
    // azd resolves an akvs:// address of `azd env set-secret` for a main.parameters.json only.
    value: startsWith(secretValue, 'akvs://')
      ? fail('DEVCENTER_CLIENT_SECRET is an address, as azd env set-secret stores it, and no secret: see docs/deploy.md')
      : secretValue
    contentType: 'text/plain'
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource readSecret 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(secret.id, identity.id, roles.keyVaultSecretsUser)
  scope: secret
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}
