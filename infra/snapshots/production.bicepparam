// What a company would run: a network of its own, zones, mails, a secret in a vault, and every setting set.
using '../main.bicep'

param environmentName = 'production'
param location = 'westeurope'
param devcenterTenantId = '11111111-1111-1111-1111-111111111111'
param devcenterClientId = '22222222-2222-2222-2222-222222222222'
param devcenterSignIn = 'secret'
param devcenterClientSecret = 'given-at-the-deployment'
param alertEmail = 'drivers@contoso.example'
param alertWebhook = 'https://hooks.contoso.example/cabferry'
param monthlyBudget = 300
param cabReaderGroupId = '55555555-5555-5555-5555-555555555555'
param authClientId = '55555555-5555-5555-5555-555555555555'
param retentionDays = 21
param maximumInstanceCount = 40
param vnetEnabled = true
param zoneRedundant = true
param deployerMayLook = false
param settings = {
  DEVCENTER_BASE_URL: 'https://devcenter.contoso.example'
  DEVCENTER_STORAGE_TENANT_ID: '33333333-3333-3333-3333-333333333333'
  REPORT_IDS: '12,13'
  REPORT_POLL_SCHEDULE: '0 */15 * * * *'
  DESKTOP_APPLICATION_IDS: '10238467886765136388'
  STORE_APPLICATION_IDS: '9NBLGGGZ5QDR'
  FAILURE_POLL_SCHEDULE: '0 10 * * * *'
  DEVCENTER_CALLS_IN_FLIGHT: '8'
  RECONCILE_SCHEDULE: '0 20 */3 * * *'
  REPORT_LOOKBACK_DAYS: '7'
  REPORT_LATE_HOURS: '24'
  CAB_LOOKBACK_DAYS: '14'
  CAB_CONTAINER: 'cabs'
  CAB_QUEUE: 'pulls'
  CAB_SOURCE_HOSTS: '.blob.contoso.example'
  PULL_CONCURRENCY: '16'
  PULL_TIME_BUDGET: '600'
  PULL_LEASE_SECONDS: '90'
  PULL_MAX_ATTEMPTS: '5'
  MAX_CABS_PER_FAILURE: '100'
}
