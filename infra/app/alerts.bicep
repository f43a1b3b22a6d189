// Mails against the silent stop: a ferry that fails for days, or no longer looks, loses cabs for good.
param location string
param tags { *: string }
param workspaceId string
param email string

var rules = [
  {
    name: 'cabferry-failures'
    description: 'A check, a reconcile or a pull failed in a way that nobody foresaw, or a check found runs or applications that cannot be read. See GET /api/reports, GET /api/failures/check and the log.'
    query: 'AppRequests | where Name in ("check_reports", "check_failures", "reconcile", "pull_failure", "abandon_pull") and Success == false'
    operator: 'GreaterThan'
    threshold: 0
    windowSize: 'PT1H'
  }
  {
    name: 'cabferry-given-up'
    description: 'A pull is Failed, and its cabs expire unless a person acts; or a message was put aside. The lines say which and why. See GET /api/pulls?state=Failed.'
    // A function that gives a pull up has succeeded, so that its message goes: only the line of the event tells.
    query: 'AppTraces | where Message contains "pull-failed: " or Message contains "message-kept: "'
    operator: 'GreaterThan'
    threshold: 0
    windowSize: 'PT1H'
  }
  {
    name: 'cabferry-silence'
    description: 'No report check succeeded for a day. Nothing new is ferried.'
    query: 'AppRequests | where Name == "check_reports" and Success == true'
    operator: 'LessThan'
    threshold: 1
    windowSize: 'P1D'
  }
  {
    name: 'cabferry-unlooked'
    description: 'No check of the failures of applications succeeded for a day. Nothing new of the configured ones is ferried. See GET /api/failures/check.'
    query: 'AppRequests | where Name == "check_failures" and Success == true'
    operator: 'LessThan'
    threshold: 1
    windowSize: 'P1D'
  }
  {
    name: 'cabferry-expiring'
    description: 'Cabs that are not in the container expire within 48 hours, or have expired. See GET /api/health and GET /api/pulls?state=Failed.'
    query: 'AppTraces | parse Message with * "reconciled: " * " expiringWithin48Hours=" expiring:long " lost=" lost:long " " * | where expiring + lost > 0'
    operator: 'GreaterThan'
    threshold: 0
    windowSize: 'PT6H'
  }
  {
    name: 'cabferry-unwatched'
    description: 'No reconcile succeeded for a day. What is stuck stays so, and nobody counts what is missing.'
    query: 'AppRequests | where Name == "reconcile" and Success == true'
    operator: 'LessThan'
    threshold: 1
    windowSize: 'P1D'
  }
]

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'cabferry-mail'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'cabferry'
    enabled: true
    emailReceivers: [
      {
        name: 'owner'
        emailAddress: email
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
      severity: 2
      enabled: true
      scopes: [
        workspaceId
      ]
      evaluationFrequency: 'PT1H'
      windowSize: rule.windowSize
      // One mail when it starts and one when it is over, not one an hour.
      autoMitigate: true
      // The table AppRequests exists only once the app has logged its first request.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          mail.id
        ]
      }
    }
  }
]
