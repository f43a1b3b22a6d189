// Cabferry in one subscription: `azd up` deploys this file. docs/deploy.md is its guide, `python -m infra.check` its check.
//
// The shape is that of Microsoft's azd quickstarts for Flex Consumption, but with plain resources instead of the
// registry's modules (br/public:avm/...): those are downloaded when Bicep compiles, and the check has to be able to read
// every line that will be deployed.
targetScope = 'subscription'

@minLength(1)
@maxLength(64)
@description('Name of the azd environment. Every resource name is derived from it.')
param environmentName string

@minLength(1)
@description('Region of every resource. It must offer Flex Consumption.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@minLength(1)
@description('Tenant of the Entra application that was added to Partner Center.')
param devcenterTenantId string

@minLength(1)
@description('Client id of that application.')
param devcenterClientId string

@allowed([
  'federated'
  'secret'
])
@description('How the app signs in to the Dev Center. federated: its managed identity vouches for it, and there is no secret.')
param devcenterSignIn string = 'federated'

@secure()
@description('The secret of the Entra application, where devcenterSignIn is secret. It goes to a Key Vault.')
param devcenterClientSecret string = ''

// The settings below are those of shared/core/settings.py, with the same defaults.
param devcenterBaseUrl string = 'https://manage.devcenter.microsoft.com'
param devcenterStorageTenantId string = ''
param reportIds string = ''
param reportPollSchedule string = '0 */30 * * * *'
param desktopApplicationIds string = ''
param storeApplicationIds string = ''
param failurePollSchedule string = '0 10 */2 * * *'
param devcenterCallsInFlight int = 4
param reconcileSchedule string = '0 20 */6 * * *'
param reportLookbackDays int = 5
param cabLookbackDays int = 30
param cabContainer string = 'failure-cabs'
param cabQueue string = 'cab-pulls'
param cabSourceHosts string = '.blob.core.windows.net'
param pullConcurrency int = 32
param pullTimeBudget int = 1200
param pullLeaseSeconds int = 60
param pullMaxAttempts int = 10
param maxCabsPerFailure int = 0

@minValue(1)
@maxValue(3650)
@description('Age in days at which a cab is deleted. It is the lifecycle rule and the setting RETENTION_DAYS at once.')
param retentionDays int = 30

// Few, because each instance is billed while it works and runs up to 12 pulls at once (host.json: batchSize +
// newBatchThreshold). The limit holds for each group of functions that scales by itself, not for the app as a whole
// (github.com/Azure/azure-rest-api-specs/pull/45083).
@minValue(1)
@maxValue(1000)
@description('Most on-demand instances of each function group.')
param maximumInstanceCount int = 4

@description('Who gets a mail when pulls are given up or reports are no longer checked. Empty: no alert is made.')
param alertEmail string = ''

var resourceToken = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
}
var functionAppName = 'func-cabferry-${resourceToken}'
// The names are fixed, so that teams can query them (shared/ has the same ones).
var cabTables = [
  'reports'
  'pulls'
  'cabs'
  'failures'
  'health'
]
// The host puts a message that failed maxDequeueCount times into the queue of this name.
var cabQueues = [
  cabQueue
  '${cabQueue}-poison'
  '${cabQueue}-checks'
  '${cabQueue}-checks-poison'
]
var secretVaultName = 'kv-${resourceToken}'
var secretName = 'devcenter-client-secret'
// Without a version, so that a new secret is taken up without a deployment.
var secretUri = 'https://${secretVaultName}${environment().suffixes.keyvaultDns}/secrets/${secretName}'

resource group 'Microsoft.Resources/resourceGroups@2022-09-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'app/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-cabferry-${resourceToken}'
    location: location
    tags: tags
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-${resourceToken}'
    applicationInsightsName: 'appi-${resourceToken}'
    location: location
    tags: tags
  }
}

module hostStorage 'app/host-storage.bicep' = {
  name: 'hostStorage'
  scope: group
  params: {
    name: 'sthost${resourceToken}'
    location: location
    tags: tags
  }
}

module cabStorage 'app/cab-storage.bicep' = {
  name: 'cabStorage'
  scope: group
  params: {
    name: 'stcabs${resourceToken}'
    location: location
    tags: tags
    containerName: cabContainer
    queueNames: cabQueues
    tableNames: cabTables
    retentionDays: retentionDays
  }
}

module rbac 'app/rbac.bicep' = {
  name: 'rbac'
  scope: group
  params: {
    principalId: identity.outputs.principalId
    hostStorageName: hostStorage.outputs.name
    cabStorageName: cabStorage.outputs.name
    cabContainerName: cabContainer
    cabQueueNames: cabQueues
    cabTableNames: cabTables
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    customRoleName: 'Cabferry cab writer ${resourceToken}'
  }
}

module secretVault 'app/secret-vault.bicep' = if (devcenterSignIn == 'secret') {
  name: 'secretVault'
  scope: group
  params: {
    name: secretVaultName
    location: location
    tags: tags
    secretName: secretName
    secretValue: devcenterClientSecret
    principalId: identity.outputs.principalId
  }
}

module functionApp 'app/function.bicep' = {
  name: 'functionApp'
  scope: group
  params: {
    name: functionAppName
    planName: 'plan-${resourceToken}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    hostStorageName: hostStorage.outputs.name
    deploymentContainerUrl: hostStorage.outputs.deploymentContainerUrl
    applicationInsightsConnectionString: monitoring.outputs.applicationInsightsConnectionString
    maximumInstanceCount: maximumInstanceCount
    // The schedules and CAB_QUEUE are always set: the bindings name them as %NAME%, which the host resolves by itself,
    // without the defaults of shared/core/settings.py.
    settings: union(
      {
        DEVCENTER_BASE_URL: devcenterBaseUrl
        DEVCENTER_TENANT_ID: devcenterTenantId
        DEVCENTER_CLIENT_ID: devcenterClientId
        DEVCENTER_STORAGE_TENANT_ID: devcenterStorageTenantId
        REPORT_IDS: reportIds
        REPORT_POLL_SCHEDULE: reportPollSchedule
        DESKTOP_APPLICATION_IDS: desktopApplicationIds
        STORE_APPLICATION_IDS: storeApplicationIds
        FAILURE_POLL_SCHEDULE: failurePollSchedule
        DEVCENTER_CALLS_IN_FLIGHT: string(devcenterCallsInFlight)
        RECONCILE_SCHEDULE: reconcileSchedule
        REPORT_LOOKBACK_DAYS: string(reportLookbackDays)
        CAB_LOOKBACK_DAYS: string(cabLookbackDays)
        CAB_STORAGE__blobServiceUri: cabStorage.outputs.blobServiceUri
        CAB_STORAGE__queueServiceUri: cabStorage.outputs.queueServiceUri
        CAB_STORAGE__tableServiceUri: cabStorage.outputs.tableServiceUri
        CAB_STORAGE__credential: 'managedidentity'
        CAB_STORAGE__clientId: identity.outputs.clientId
        CAB_CONTAINER: cabContainer
        CAB_QUEUE: cabQueue
        CAB_SOURCE_HOSTS: cabSourceHosts
        PULL_CONCURRENCY: string(pullConcurrency)
        PULL_TIME_BUDGET: string(pullTimeBudget)
        PULL_LEASE_SECONDS: string(pullLeaseSeconds)
        PULL_MAX_ATTEMPTS: string(pullMaxAttempts)
        MAX_CABS_PER_FAILURE: string(maxCabsPerFailure)
        RETENTION_DAYS: string(retentionDays)
      },
      devcenterSignIn == 'secret'
        ? {
            DEVCENTER_CLIENT_SECRET: '@Microsoft.KeyVault(SecretUri=${secretUri})'
          }
        : {
            DEVCENTER_MANAGED_IDENTITY_CLIENT_ID: identity.outputs.clientId
          }
    )
  }
  // The app reads its package and its secret when it starts: the identity must be allowed to by then.
  dependsOn: [
    rbac
    secretVault
  ]
}

module alerts 'app/alerts.bicep' = if (!empty(alertEmail)) {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    email: alertEmail
  }
}

// azd writes outputs into its environment, so none of them may have the name of a variable that main.parameters.json reads.
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_NAME string = functionAppName
output CABFERRY_URL string = functionApp.outputs.url
output CABFERRY_CAB_STORAGE string = cabStorage.outputs.name
output CABFERRY_CONTAINER_URL string = cabStorage.outputs.containerUrl
output CABFERRY_CONTAINER_ID string = cabStorage.outputs.containerId
output CABFERRY_IDENTITY_CLIENT_ID string = identity.outputs.clientId
output CABFERRY_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output CABFERRY_ROLE_ID string = rbac.outputs.customRoleId
