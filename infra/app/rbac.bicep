// What the app's identity may do, each role at the narrowest scope that Azure allows. (The role on the optional secret
// is in secret-vault.bicep: it exists only with the vault.)
param principalId string
param hostStorageName string
param cabStorageName string
param cabContainerName string
param cabQueueNames string[]
param cabTableNames string[]
param applicationInsightsName string
param customRoleName string

var roles = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
  storageBlobDelegator: 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a' // Storage Blob Delegator
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher
}

// The app writes cabs with index tags and never deletes one. Storage Blob Data Contributor cannot write tags, and both
// it and Storage Blob Data Owner can delete: hence a role of our own. It cannot create containers either; the container
// is part of this deployment. What it may delete are the probes of POST /api/preflight: the assignment below says so.
resource cabWriter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'cab-writer')
  properties: {
    roleName: customRoleName
    description: 'Read and write cabs and their index tags in one container, delete nothing but probes.'
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

resource cabStorage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: cabStorageName
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' existing = {
  parent: cabStorage
  name: 'default'
}

resource cabContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' existing = {
  parent: blobService
  name: cabContainerName
}

resource writeCabs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(cabContainer.id, principalId, cabWriter.id)
  scope: cabContainer
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: cabWriter.id
    // No cab has such a name: an applicationId has no underscore (shared/core/failure.py, shared/preflight/storage_probes.py).
    condition: '((!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete\'})) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike \'_preflight/*\'))'
    conditionVersion: '2.0'
  }
}

// The preflight copies a probe from a SAS, as cabs are copied. Such a SAS allows nothing that the identity may not do.
resource signProbes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(cabStorage.id, principalId, roles.storageBlobDelegator)
  scope: cabStorage
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDelegator)
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' existing = {
  parent: cabStorage
  name: 'default'
}

resource cabQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' existing = [
  for queueName in cabQueueNames: {
    parent: queueService
    name: queueName
  }
]

// Sending, receiving, prolonging a message and counting them for the scaling: no smaller built-in role has all of it.
resource useQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queueName, index) in cabQueueNames: {
    name: guid(cabStorage.id, queueName, principalId, roles.storageQueueDataContributor)
    scope: cabQueues[index]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles.storageQueueDataContributor
      )
    }
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' existing = {
  parent: cabStorage
  name: 'default'
}

resource cabTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-01-01' existing = [
  for tableName in cabTableNames: {
    parent: tableService
    name: tableName
  }
]

resource useTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (tableName, index) in cabTableNames: {
    name: guid(cabStorage.id, tableName, principalId, roles.storageTableDataContributor)
    scope: cabTables[index]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles.storageTableDataContributor
      )
    }
  }
]

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: hostStorageName
}

// Blob Data Owner is what the host's documentation asks for; Table Data Contributor lets it keep its diagnostic events.
resource useHostStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [
    roles.storageBlobDataOwner
    roles.storageTableDataContributor
  ]: {
    name: guid(hostStorage.id, principalId, role)
    scope: hostStorage
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource writeLogs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(applicationInsights.id, principalId, roles.monitoringMetricsPublisher)
  scope: applicationInsights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.monitoringMetricsPublisher
    )
  }
}

output customRoleId string = cabWriter.name
