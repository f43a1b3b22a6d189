// Where the logs go.
param workspaceName string
param applicationInsightsName string
param location string
param tags { *: string }

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
    // A bound on the bill, should something log in a loop. Past it nothing is logged until the next day, and the alert
    // that misses the report checks says so.
    workspaceCapping: {
      dailyQuotaGb: 1
    }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    // Only the identity may write: the connection string alone is then no secret.
    DisableLocalAuth: true
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspace.id, 'cabferry')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Cabferry'
    category: 'workbook'
    sourceId: workspace.id
    // Its queries are checked by `python -m infra.queries`.
    serializedData: loadTextContent('workbook.json')
  }
}

output workspaceId string = workspace.id
output applicationInsightsConnectionString string = applicationInsights.properties.ConnectionString
