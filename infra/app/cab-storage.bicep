// Where the cabs, the queue of pulls and the tables live.
param name string
param location string
param tags { *: string }
param containerName string
param queueNames string[]
param tableNames string[]
param retentionDays int
param isPublic bool
param isZoneRedundant bool
param workspaceId string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: isZoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    accessTier: 'Hot'
    // Accounts with a hierarchical namespace refuse blob index tags.
    isHnsEnabled: false
    // A memory dump can hold personal data: nobody reads it without a role, and no key can be passed on.
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    // No copy of a dump in somebody else's tenant. allowedCopyScope stays unset: the sources are in Microsoft's tenant.
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    // Open to the network, closed without a role; or not even open.
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: isPublic ? 'Allow' : 'Deny'
      bypass: 'AzureServices'
    }
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    // What a soft delete, a version or a snapshot keeps is still stored, and the Windows Analytics Agreement ends the
    // storing of personal information after 30 days. A cab that was deleted by mistake can be pulled again.
    deleteRetentionPolicy: {
      enabled: false
    }
    containerDeleteRetentionPolicy: {
      enabled: false
    }
    isVersioningEnabled: false
  }
}

// Who read, wrote or deleted which dump: the tables StorageBlobLogs of the workspace.
#disable-next-line use-recent-api-versions // the one stable version is of 2016 and knows less
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobService
  name: 'who-did-what'
  properties: {
    workspaceId: workspaceId
    logs: [
      for category in ['StorageRead', 'StorageWrite', 'StorageDelete']: {
        category: category
        enabled: true
      }
    ]
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobService
  name: containerName
  properties: {
    publicAccess: 'None'
  }
}

// All but `_settings/`, which people write, and which must not go after a month: an applicationId begins with one of
// these, and the app writes the others. A rule takes ten prefixes at most.
var letters = '0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
var folders = concat(map(range(0, length(letters)), each => substring(letters, each, 1)), [
  '_catalog/'
  '_preflight/'
])

resource retention 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        for place in range(0, 7): {
          name: 'delete-old-cabs-${place}'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: map(take(skip(folders, place * 10), 10), folder => '${containerName}/${folder}')
            }
            actions: {
              baseBlob: {
                delete: {
                  // Creation, not modification: somebody who edits a cab's metadata must not prolong its storing.
                  daysAfterCreationGreaterThan: retentionDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [
  for queueName in queueNames: {
    parent: queueService
    name: queueName
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = [
  for tableName in tableNames: {
    parent: tableService
    name: tableName
  }
]

output blobServiceUri string = account.properties.primaryEndpoints.blob
output queueServiceUri string = account.properties.primaryEndpoints.queue
output tableServiceUri string = account.properties.primaryEndpoints.table
output containerId string = container.id
output containerUrl string = '${account.properties.primaryEndpoints.blob}${container.name}'
