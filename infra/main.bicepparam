// What `azd up` deploys, from the variables of its environment: `azd env set NAME value` sets one. What is empty takes
// the default of main.bicep, or that of shared/core/settings_table.py.
using 'main.bicep'

var instances = readEnvironmentVariable('MAXIMUM_INSTANCE_COUNT', '')
var budget = readEnvironmentVariable('MONTHLY_BUDGET', '')
var days = readEnvironmentVariable('RETENTION_DAYS', '')
var signIn = readEnvironmentVariable('DEVCENTER_SIGN_IN', '')

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param devcenterTenantId = readEnvironmentVariable('DEVCENTER_TENANT_ID')
param devcenterClientId = readEnvironmentVariable('DEVCENTER_CLIENT_ID')
param devcenterSignIn = empty(signIn) ? null : signIn
param devcenterClientSecret = readEnvironmentVariable('DEVCENTER_CLIENT_SECRET', '')
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')
param alertWebhook = readEnvironmentVariable('ALERT_WEBHOOK', '')
param monthlyBudget = empty(budget) ? null : int(budget)
param authClientId = readEnvironmentVariable('AUTH_CLIENT_ID', '')
param cabReaderGroupId = readEnvironmentVariable('CAB_READER_GROUP_ID', '')
param maximumInstanceCount = empty(instances) ? null : int(instances)
param retentionDays = empty(days) ? null : int(days)
param vnetEnabled = toLower(readEnvironmentVariable('VNET_ENABLED', '')) == 'true'
param zoneRedundant = toLower(readEnvironmentVariable('ZONE_REDUNDANT', '')) == 'true'
param useBuiltInRoles = toLower(readEnvironmentVariable('USE_BUILT_IN_ROLES', '')) == 'true'
param deployerMayLook = toLower(readEnvironmentVariable('DEPLOYER_MAY_LOOK', '')) != 'false'
param settings = {
  DEVCENTER_BASE_URL: readEnvironmentVariable('DEVCENTER_BASE_URL', '')
  DEVCENTER_STORAGE_TENANT_ID: readEnvironmentVariable('DEVCENTER_STORAGE_TENANT_ID', '')
  REPORT_IDS: readEnvironmentVariable('REPORT_IDS', '')
  REPORT_POLL_SCHEDULE: readEnvironmentVariable('REPORT_POLL_SCHEDULE', '')
  DESKTOP_APPLICATION_IDS: readEnvironmentVariable('DESKTOP_APPLICATION_IDS', '')
  STORE_APPLICATION_IDS: readEnvironmentVariable('STORE_APPLICATION_IDS', '')
  FAILURE_POLL_SCHEDULE: readEnvironmentVariable('FAILURE_POLL_SCHEDULE', '')
  DEVCENTER_CALLS_IN_FLIGHT: readEnvironmentVariable('DEVCENTER_CALLS_IN_FLIGHT', '')
  RECONCILE_SCHEDULE: readEnvironmentVariable('RECONCILE_SCHEDULE', '')
  REPORT_LOOKBACK_DAYS: readEnvironmentVariable('REPORT_LOOKBACK_DAYS', '')
  REPORT_LATE_HOURS: readEnvironmentVariable('REPORT_LATE_HOURS', '')
  CAB_LOOKBACK_DAYS: readEnvironmentVariable('CAB_LOOKBACK_DAYS', '')
  CAB_CONTAINER: readEnvironmentVariable('CAB_CONTAINER', '')
  CAB_QUEUE: readEnvironmentVariable('CAB_QUEUE', '')
  CAB_SOURCE_HOSTS: readEnvironmentVariable('CAB_SOURCE_HOSTS', '')
  PULL_CONCURRENCY: readEnvironmentVariable('PULL_CONCURRENCY', '')
  PULL_TIME_BUDGET: readEnvironmentVariable('PULL_TIME_BUDGET', '')
  PULL_LEASE_SECONDS: readEnvironmentVariable('PULL_LEASE_SECONDS', '')
  PULL_MAX_ATTEMPTS: readEnvironmentVariable('PULL_MAX_ATTEMPTS', '')
  MAX_CABS_PER_FAILURE: readEnvironmentVariable('MAX_CABS_PER_FAILURE', '')
  DASHBOARD_SIGN_IN: readEnvironmentVariable('DASHBOARD_SIGN_IN', '')
}
