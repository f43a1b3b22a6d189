// The one identity of the app: it reads its package, writes the cabs and signs in to the Dev Center.
//
// User-assigned, so that it exists, with its roles, before the app starts for the first time.
param name string
param location string
param tags { *: string }

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

output id string = identity.id
output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
