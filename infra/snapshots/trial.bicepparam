// What the first `azd up` of a person with a subscription makes.
using '../main.bicep'

param environmentName = 'trial'
param location = 'westeurope'
param devcenterTenantId = '11111111-1111-1111-1111-111111111111'
param devcenterClientId = '22222222-2222-2222-2222-222222222222'
