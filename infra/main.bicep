// Cabferry in one subscription: `azd up` deploys this file. docs/deploy.md is its guide, `python -m infra.check` its check,
// and infra/snapshots/ show what it would deploy.
//
// The shape is that of Microsoft's azd quickstarts for Flex Consumption, but with plain resources instead of the
// registry's modules (br/public:avm/...): those are downloaded when Bicep compiles, and whoever reviews this should be
// able to read every line that will be deployed.
targetScope = 'subscription'

@description('The settings of shared/core/settings_table.py that are not params below, by their names. Empty: its default.')
@sealed()
type appSettings = {
  DEVCENTER_BASE_URL: string?
  DEVCENTER_STORAGE_TENANT_ID: string?
  REPORT_IDS: string?
  REPORT_POLL_SCHEDULE: string?
  DESKTOP_APPLICATION_IDS: string?
  STORE_APPLICATION_IDS: string?
  FAILURE_POLL_SCHEDULE: string?
  DEVCENTER_CALLS_IN_FLIGHT: string?
  RECONCILE_SCHEDULE: string?
  REPORT_LOOKBACK_DAYS: string?
  REPORT_LATE_HOURS: string?
  CAB_LOOKBACK_DAYS: string?
  CAB_CONTAINER: string?
  CAB_QUEUE: string?
  CAB_SOURCE_HOSTS: string?
  PULL_CONCURRENCY: string?
  PULL_TIME_BUDGET: string?
  PULL_LEASE_SECONDS: string?
  PULL_MAX_ATTEMPTS: string?
  MAX_CABS_PER_FAILURE: string?
  DASHBOARD_SIGN_IN: string?
}

@minLength(1)
@maxLength(64)
@description('Name of the azd environment. Every resource name is derived from it.')
param environmentName string

// Those of Microsoft's quickstarts for Flex Consumption (Azure-Samples/functions-quickstart-python-azd-timer, June 2026).
// infra/hooks.py reads them here, and asks Azure for the chosen one before anything is made.
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@description('Region of every resource. It must offer Flex Consumption.')
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

@description('Settings of the app.')
param settings appSettings = {}

// The Windows Analytics Agreement allows 30 days. The lifecycle rule runs about once a day, and may begin a day late.
@minValue(1)
@maxValue(3650)
@description('Age in days at which a cab is deleted. It is the lifecycle rule and the setting RETENTION_DAYS at once.')
param retentionDays int = 28

// Few, because each instance is billed while it works and runs up to 12 pulls at once (host.json: batchSize +
// newBatchThreshold). The limit holds for each group of functions that scales by itself, not for the app as a whole
// (github.com/Azure/azure-rest-api-specs/pull/45083).
@minValue(1)
@maxValue(1000)
@description('Most on-demand instances of each function group.')
param maximumInstanceCount int = 4

@description('Who gets a mail when cabs are lost or will be, or nothing is ferried any more. Without a webhook either, no alert is made.')
param alertEmail string = ''

@secure()
@description('Where the same is posted (the common alert schema): Teams, Slack, PagerDuty. Who knows it may post there.')
param alertWebhook string = ''

@minValue(0)
@description('What the resource group may cost a month, in the currency of the subscription, before that is told. 0: no budget.')
param monthlyBudget int = 50

@description('Object id of the Entra group that may list, find and read the cabs and the catalog. Empty: no group is given that role.')
param cabReaderGroupId string = ''

@description('Client id of the Entra application that signs people in to the dashboard. Empty: they use the function key.')
param authClientId string = ''

@description('Whether storage and vault answer within a virtual network of their own only. For production.')
param vnetEnabled bool = false

@description('Whether storage and app survive the loss of a data center. The region must have zones.')
param zoneRedundant bool = false

@description('Whether built-in roles take the place of the custom one, for tenants that allow none. docs/deploy.md says what that widens.')
param useBuiltInRoles bool = false

@description('Whether whoever deploys may read cabs, tables and queues.')
param deployerMayLook bool = true

var resourceToken = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
}
var identityName = 'id-cabferry-${resourceToken}'
var hostStorageName = 'sthost${resourceToken}'
var cabStorageName = 'stcabs${resourceToken}'
var workspaceName = 'log-${resourceToken}'
var applicationInsightsName = 'appi-${resourceToken}'
var functionAppName = 'func-cabferry-${resourceToken}'
var virtualNetworkName = 'vnet-${resourceToken}'
var secretVaultName = 'kv-${resourceToken}'
var secretName = 'devcenter-client-secret'
// Without a version, so that a new secret is taken up without a deployment.
var secretUri = 'https://${secretVaultName}${environment().suffixes.keyvaultDns}/secrets/${secretName}'
var hasSecret = devcenterSignIn == 'secret'

// The deployment uses these itself, and the bindings name them as %NAME%, which the host resolves without the defaults of
// shared/core/settings_table.py.
var defaults = {
  CAB_CONTAINER: 'failure-cabs'
  CAB_QUEUE: 'cab-pulls'
  REPORT_POLL_SCHEDULE: '0 */30 * * * *'
  FAILURE_POLL_SCHEDULE: '0 10 */2 * * *'
  RECONCILE_SCHEDULE: '0 20 */6 * * *'
}
var given = toObject(
  filter(items(settings), setting => !empty(setting.?value)),
  setting => setting.key,
  setting => setting.?value
)
var cabContainer = union(defaults, given).CAB_CONTAINER
var cabQueue = union(defaults, given).CAB_QUEUE
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

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'app/identity.bicep' = {
  scope: group
  params: {
    name: identityName
    location: location
    tags: tags
  }
}

module monitoring 'app/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: workspaceName
    applicationInsightsName: applicationInsightsName
    location: location
    tags: tags
  }
}

module hostStorage 'app/host-storage.bicep' = {
  scope: group
  params: {
    name: hostStorageName
    location: location
    tags: tags
    isPublic: !vnetEnabled
    isZoneRedundant: zoneRedundant
  }
}

module cabStorage 'app/cab-storage.bicep' = {
  scope: group
  params: {
    name: cabStorageName
    location: location
    tags: tags
    containerName: cabContainer
    queueNames: cabQueues
    tableNames: cabTables
    retentionDays: retentionDays
    isPublic: !vnetEnabled
    isZoneRedundant: zoneRedundant
    workspaceId: monitoring.outputs.workspaceId
  }
}

module rbac 'app/rbac.bicep' = {
  scope: group
  params: {
    identityName: identityName
    hostStorageName: hostStorageName
    cabStorageName: cabStorageName
    cabContainerName: cabContainer
    cabQueueNames: cabQueues
    cabTableNames: cabTables
    applicationInsightsName: applicationInsightsName
    cabWriterName: 'Cabferry cab writer ${resourceToken}'
    cabReaderName: 'Cabferry cab reader ${resourceToken}'
    cabReaderGroupId: cabReaderGroupId
    useBuiltInRoles: useBuiltInRoles
    deployerMayLook: deployerMayLook
  }
  // It looks them up by name.
  dependsOn: [
    identity
    monitoring
    hostStorage
    cabStorage
  ]
}

module secretVault 'app/secret-vault.bicep' = if (hasSecret) {
  scope: group
  params: {
    name: secretVaultName
    location: location
    tags: tags
    secretName: secretName
    secretValue: devcenterClientSecret
    identityName: identityName
    isPublic: !vnetEnabled
  }
  dependsOn: [
    identity
  ]
}

module network 'app/network.bicep' = if (vnetEnabled) {
  scope: group
  params: {
    name: virtualNetworkName
    location: location
    tags: tags
    hostStorageName: hostStorageName
    cabStorageName: cabStorageName
    vaultName: hasSecret ? secretVaultName : ''
  }
  dependsOn: [
    hostStorage
    cabStorage
    secretVault
  ]
}

module functionApp 'app/function.bicep' = {
  scope: group
  params: {
    name: functionAppName
    planName: 'plan-${resourceToken}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    hostStorageName: hostStorageName
    deploymentContainerUrl: hostStorage.outputs.deploymentContainerUrl
    applicationInsightsConnectionString: monitoring.outputs.applicationInsightsConnectionString
    maximumInstanceCount: maximumInstanceCount
    isZoneRedundant: zoneRedundant
    authClientId: authClientId
    subnetId: network.?outputs.appSubnetId ?? ''
    settings: union(
      defaults,
      empty(authClientId) ? {} : { DASHBOARD_SIGN_IN: 'entra' },
      given,
      {
        DEVCENTER_TENANT_ID: devcenterTenantId
        DEVCENTER_CLIENT_ID: devcenterClientId
        CAB_STORAGE__blobServiceUri: cabStorage.outputs.blobServiceUri
        CAB_STORAGE__queueServiceUri: cabStorage.outputs.queueServiceUri
        CAB_STORAGE__tableServiceUri: cabStorage.outputs.tableServiceUri
        CAB_STORAGE__credential: 'managedidentity'
        CAB_STORAGE__clientId: identity.outputs.clientId
        RETENTION_DAYS: string(retentionDays)
      },
      hasSecret
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

module alerts 'app/alerts.bicep' = if (!empty(alertEmail) || !empty(alertWebhook)) {
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    email: alertEmail
    webhook: alertWebhook
    monthlyBudget: monthlyBudget
  }
}

// azd writes outputs into its environment, so none of them may have the name of a variable that main.bicepparam reads.
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_NAME string = functionAppName
output CABFERRY_URL string = functionApp.outputs.url
output CABFERRY_CAB_STORAGE string = cabStorageName
output CABFERRY_CONTAINER_URL string = cabStorage.outputs.containerUrl
output CABFERRY_CONTAINER_ID string = cabStorage.outputs.containerId
output CABFERRY_IDENTITY_CLIENT_ID string = identity.outputs.clientId
output CABFERRY_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output CABFERRY_ROLE_ID string = rbac.outputs.cabWriterId
output CABFERRY_READER_ROLE_ID string = rbac.outputs.cabReaderId
