// The function app on Flex Consumption.
param name string
param planName string
param location string
param tags { *: string }
param identityId string
param identityClientId string
param hostStorageName string
param deploymentContainerUrl string
param applicationInsightsConnectionString string
param maximumInstanceCount int
param isZoneRedundant bool

@description('Where the app joins a virtual network; empty where it joins none.')
param subnetId string

@description('The Entra application that signs people in; empty where none does.')
param authClientId string

@description('The settings of shared/core/settings_table.py, name to value.')
param settings { *: string }

var hostSettings = {
  AzureWebJobsStorage__accountName: hostStorageName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // The worker has one thread by default. One instance takes up to 12 messages at once (host.json: batchSize 8 +
  // newBatchThreshold 4); the rest is for HTTP.
  PYTHON_THREADPOOL_THREAD_COUNT: '16'
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
    zoneRedundant: isZoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  // azd finds the app of the service in azure.yaml by this tag.
  tags: union(tags, {
    'azd-service-name': 'cabferry'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    // Key Vault references are read with this identity; the default would be a system-assigned one, which the app has not.
    keyVaultReferenceIdentity: identityId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: 2048
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      appSettings: map(items(union(hostSettings, settings)), setting => {
        name: setting.key
        value: setting.value
      })
    }
  }
}

// Whoever has no session reaches the app, whose API wants a function key then. What the app believes of a person is what
// the platform says: it takes X-MS-CLIENT-PRINCIPAL from what comes from outside.
resource signIn 'Microsoft.Web/sites/config@2025-03-01' = if (!empty(authClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: false
      unauthenticatedClientAction: 'AllowAnonymous'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: authClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            authClientId
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
  }
}

// Nobody deploys with a user name and a password. (siteConfig.ftpsState is refused on Flex Consumption.)
resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

output url string = 'https://${app.properties.defaultHostName}'
