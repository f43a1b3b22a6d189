// The virtual network of production: the app in one subnet, private endpoints of storage and vault in the other.
param name string
param location string
param tags { *: string }
param hostStorageName string
param cabStorageName string

@description('Empty where there is no vault.')
param vaultName string

var storageServices = [
  'blob'
  'queue'
  'table'
]
var zoneNames = concat(
  map(storageServices, service => 'privatelink.${service}.${environment().suffixes.storage}'),
  empty(vaultName) ? [] : ['privatelink.vaultcore.azure.net']
)
var storageTargets = flatten(map(
  [
    hostStorageName
    cabStorageName
  ],
  account =>
    map(range(0, length(storageServices)), zone => {
      name: '${account}-${storageServices[zone]}'
      id: resourceId('Microsoft.Storage/storageAccounts', account)
      service: storageServices[zone]
      zone: zone
    })
))
var vaultTargets = empty(vaultName)
  ? []
  : [
      {
        name: vaultName
        id: resourceId('Microsoft.KeyVault/vaults', vaultName)
        service: 'vault'
        zone: length(storageServices)
      }
    ]
var targets = concat(storageTargets, vaultTargets)

resource network 'Microsoft.Network/virtualNetworks@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.0.0.0/16'
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: '10.0.0.0/24'
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.0.1.0/24'
        }
      }
    ]
  }

  resource appSubnet 'subnets' existing = {
    name: 'app'
  }

  resource endpointSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zoneNames: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, index) in zoneNames: {
    parent: zones[index]
    name: name
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      // Microsoft's accounts may have private endpoints too: a name that this zone does not have is asked of the internet.
      resolutionPolicy: 'NxDomainRedirect'
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2025-01-01' = [
  for target in targets: {
    name: 'pe-${target.name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: network::endpointSubnet.id
      }
      privateLinkServiceConnections: [
        {
          name: target.name
          properties: {
            privateLinkServiceId: target.id
            groupIds: [
              target.service
            ]
          }
        }
      ]
    }
  }
]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-01-01' = [
  for (target, index) in targets: {
    parent: endpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: target.service
          properties: {
            privateDnsZoneId: zones[target.zone].id
          }
        }
      ]
    }
  }
]

output appSubnetId string = network::appSubnet.id
