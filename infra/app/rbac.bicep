// What the app's identity may do, each role at the narrowest scope that Azure allows. (The role on the optional secret
// is in secret-vault.bicep: it exists only with the vault.)
param identityName string
param hostStorageName string
param cabStorageName string
param cabContainerName string
param cabQueueNames string[]
param cabTableNames string[]
param applicationInsightsName string
param cabWriterName string
param cabReaderName string
param cabReaderGroupId string
param useBuiltInRoles bool
param deployerMayLook bool

var roles = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
  storageBlobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
  storageBlobDelegator: 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a' // Storage Blob Delegator
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
  storageQueueDataReader: '19e7f393-937e-4f77-808e-94535e297925' // Storage Queue Data Reader
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
  storageTableDataReader: '76199698-9eea-4c19-bc75-cec21354c6b6' // Storage Table Data Reader
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

// The app writes cabs with index tags and never deletes one. Storage Blob Data Contributor cannot write tags, and both
// it and Storage Blob Data Owner can delete: hence a role of our own. It cannot create containers either; the container
// is part of this deployment. What it may delete are the probes of POST /api/preflight and files of the catalog: the
// assignment below says so.
resource cabWriter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (!useBuiltInRoles) {
  name: guid(resourceGroup().id, 'cab-writer')
  properties: {
    roleName: cabWriterName
    description: 'Read and write cabs and their index tags in one container, delete nothing but probes and the catalog.'
    type: 'customRole'
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/write'
        ]
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource cabStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: cabStorageName
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: cabStorage
  name: 'default'
}

resource cabContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobService
  name: cabContainerName
}

// Where the tenant allows no custom roles, Owner it is: of the built-in ones only it writes tags. The condition below holds
// for it too, so it deletes no cab either; but it may delete the container, and may change rights and retention locks.
var writeCabsRoleId = useBuiltInRoles
  ? subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataOwner)
  : cabWriter.id

resource writeCabs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(cabContainer.id, identity.id, writeCabsRoleId)
  scope: cabContainer
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writeCabsRoleId
    // No cab has such a name: an applicationId has no underscore (shared/core/failure.py, shared/catalog/files.py,
    // shared/preflight/storage_probes.py).
    condition: '((!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete\'})) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike \'_preflight/*\') OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike \'_catalog/*\'))'
    conditionVersion: '2.0'
  }
}

// What the people need who debug: Storage Blob Data Reader, of the built-in roles, cannot find blobs by their tags.
resource cabReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (!useBuiltInRoles) {
  name: guid(resourceGroup().id, 'cab-reader')
  properties: {
    roleName: cabReaderName
    description: 'List, find by tag and read the cabs and the catalog of one container.'
    type: 'customRole'
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/filter/action'
        ]
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

var readCabsRoleId = useBuiltInRoles
  ? subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataReader)
  : cabReader.id

resource readCabs 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(cabReaderGroupId)) {
  name: guid(cabContainer.id, cabReaderGroupId, readCabsRoleId)
  scope: cabContainer
  properties: {
    principalId: cabReaderGroupId
    principalType: 'Group'
    roleDefinitionId: readCabsRoleId
  }
}

// The preflight copies a probe from a SAS, as cabs are copied. Such a SAS allows nothing that the identity may not do.
resource signProbes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(cabStorage.id, identity.id, roles.storageBlobDelegator)
  scope: cabStorage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDelegator)
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: cabStorage
  name: 'default'
}

resource cabQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = [
  for queueName in cabQueueNames: {
    parent: queueService
    name: queueName
  }
]

// Sending, receiving, prolonging a message and counting them for the scaling: no smaller built-in role has all of it.
resource useQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queueName, index) in cabQueueNames: {
    name: guid(cabStorage.id, queueName, identity.id, roles.storageQueueDataContributor)
    scope: cabQueues[index]
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles.storageQueueDataContributor
      )
    }
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' existing = {
  parent: cabStorage
  name: 'default'
}

resource cabTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' existing = [
  for tableName in cabTableNames: {
    parent: tableService
    name: tableName
  }
]

resource useTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (tableName, index) in cabTableNames: {
    name: guid(cabStorage.id, tableName, identity.id, roles.storageTableDataContributor)
    scope: cabTables[index]
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles.storageTableDataContributor
      )
    }
  }
]

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostStorageName
}

// Blob Data Owner is what the host's documentation asks for; Table Data Contributor lets it keep its diagnostic events.
resource useHostStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [
    roles.storageBlobDataOwner
    roles.storageTableDataContributor
  ]: {
    name: guid(hostStorage.id, identity.id, role)
    scope: hostStorage
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource writeLogs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(applicationInsights.id, identity.id, roles.monitoringMetricsPublisher)
  scope: applicationInsights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.monitoringMetricsPublisher
    )
  }
}

// Owning a subscription does not let one read data. Whoever deploys sees what came: the cabs, and what is asked and known.
resource lookAtCabs 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (deployerMayLook) {
  name: guid(cabContainer.id, deployer().objectId, roles.storageBlobDataReader)
  scope: cabContainer
  properties: {
    principalId: deployer().objectId
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataReader)
  }
}

resource lookAtStates 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [
    roles.storageQueueDataReader
    roles.storageTableDataReader
  ]: if (deployerMayLook) {
    name: guid(cabStorage.id, deployer().objectId, role)
    scope: cabStorage
    properties: {
      principalId: deployer().objectId
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

output cabWriterId string = useBuiltInRoles ? '' : cabWriter.name
output cabReaderId string = useBuiltInRoles ? '' : cabReader.name
