// Told by mail and webhook: what is lost, what will be, what costs, and a ferry that has gone silent. Each looks for an event
// or a metric by its name (docs/telemetry.md); docs/operate.md says what to do about each.
param location string
param tags { *: string }
param workspaceId string
param email string
@secure()
param webhook string

@description('Of the resource group, a month, in the currency of the subscription; 0 for none.')
param monthlyBudget int

@description('Azure refuses a budget that begins in an earlier month.')
param budgetBegins string = utcNow('yyyy-MM-01')

// Severities are those of Azure Monitor: 1 where cabs are lost or will be, unless a person acts; 2 where one should look.
var rules = [
  {
    name: 'cabferry-expiring'
    description: 'Cabs that are not in the container expire within 48 hours.'
    query: 'AppMetrics | where Name == "cabferry.cabs.expiring" and Sum > 0'
    severity: 1
    isMissed: false
    windowSize: 'PT6H'
  }
  {
    name: 'cabferry-lost'
    description: 'Microsoft has deleted cabs that nobody could copy before.'
    query: 'AppEvents | where Name == "cabs-lost"'
    severity: 1
    isMissed: false
    windowSize: 'PT6H'
  }
  {
    name: 'cabferry-silence'
    description: 'No check of the reports came to its end for a day. Nothing new is ferried, or nothing is told of it any more.'
    query: 'AppEvents | where Name == "reports-checked"'
    severity: 1
    isMissed: true
    windowSize: 'P1D'
  }
  {
    name: 'cabferry-unlooked'
    description: 'No check of the failures of applications came to its end for a day. Nothing new of theirs is ferried.'
    query: 'AppEvents | where Name == "failures-checked"'
    severity: 1
    isMissed: true
    windowSize: 'P1D'
  }
  {
    name: 'cabferry-unwatched'
    description: 'No reconcile came to its end for a day. What is stuck stays so, and nobody counts what is missing.'
    query: 'AppEvents | where Name == "reconciled"'
    severity: 1
    isMissed: true
    windowSize: 'P1D'
  }
  {
    name: 'cabferry-given-up'
    description: 'A pull is Failed, and its cabs expire unless a person acts.'
    query: 'AppEvents | where Name == "pull-failed"'
    severity: 2
    isMissed: false
    windowSize: 'PT1H'
  }
  {
    name: 'cabferry-poison'
    description: 'A message of which no pull can be made was put aside, or no message is worked on at all.'
    query: 'AppEvents | where Name in ("message-kept", "work-stopped")'
    severity: 2
    isMissed: false
    windowSize: 'PT1H'
  }
  {
    name: 'cabferry-refused'
    description: 'The Dev Center refused everybody, or an application, so often that it is not asked any more.'
    query: 'AppEvents | where Name == "circuit-opened"'
    severity: 2
    isMissed: false
    windowSize: 'PT1H'
  }
  {
    name: 'cabferry-failures'
    description: 'A check, a reconcile or a pull failed, or left something that it could not do.'
    query: 'AppEvents | where Name == "function-failed"'
    severity: 2
    isMissed: false
    windowSize: 'PT1H'
  }
  {
    name: 'cabferry-reports'
    description: 'A run of a report failed or is late, or a schedule makes no further runs.'
    query: 'AppEvents | where Name in ("report-run-failed", "report-run-late", "schedule-ended")'
    severity: 2
    isMissed: false
    windowSize: 'PT1H'
  }
  {
    name: 'cabferry-log-cap'
    description: 'The logs of today have reached their daily cap: until tomorrow nothing is told, by no other alert either.'
    // That of github.com/Azure/azure-monitor-baseline-alerts, services/OperationalInsights.
    query: 'Operation | where OperationCategory == "Data Collection Status" and Detail has "OverQuota"'
    severity: 2
    isMissed: false
    windowSize: 'P1D'
  }
]

resource owner 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'cabferry-owner'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'cabferry'
    enabled: true
    emailReceivers: empty(email)
      ? []
      : [
          {
            name: 'owner'
            emailAddress: email
            useCommonAlertSchema: true
          }
        ]
    webhookReceivers: empty(webhook)
      ? []
      : [
          {
            name: 'owner'
            serviceUri: webhook
            useCommonAlertSchema: true
          }
        ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: rule.name
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.name
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [
        workspaceId
      ]
      evaluationFrequency: 'PT1H'
      windowSize: rule.windowSize
      // One mail when it starts and one when it is over, not one an hour.
      autoMitigate: true
      // A table exists only once its first row has come.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.isMissed ? 'LessThan' : 'GreaterThan'
            threshold: rule.isMissed ? 1 : 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          owner.id
        ]
      }
    }
  }
]

// Azure's budgets know months, and no days; what a day may cost is bounded by the cap of the logs and by
// maximumInstanceCount. Azure refuses to move the begin of a budget, and to make one that begins in an earlier month: so one
// that is there stays as it is (github.com/Azure/azure-quickstart-templates/issues/7095).
@onlyIfNotExists()
resource budget 'Microsoft.Consumption/budgets@2026-06-01' = if (monthlyBudget > 0) {
  name: 'cabferry'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: budgetBegins
    }
    notifications: {
      forecast: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: empty(email) ? [] : [email]
        contactGroups: [
          owner.id
        ]
      }
      spent: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: empty(email) ? [] : [email]
        contactGroups: [
          owner.id
        ]
      }
    }
  }
}
