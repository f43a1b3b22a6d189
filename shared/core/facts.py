"""What is told of a cab beside its ids: by a report's row, or by a row of the analytics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CabFacts:
    """What a row tells of a cab; DeviceId and HardwareId are left out, since they identify a device.

    Args:
        failure_name: For example `AV_contoso!ReadQueue`.
        driver_name: The file of the driver or the application, or the package of a Store app.
        driver_version: Its version.
        os_version: Of Windows.
        architecture: Of the processor.
        cab_type: kernel, MINI, FULL; only reports tell it.
        market: The country or region, as the API names it; only the analytics of applications tell it.
    """

    failure_name: str = ""
    driver_name: str = ""
    driver_version: str = ""
    os_version: str = ""
    architecture: str = ""
    cab_type: str = ""
    market: str = ""


NO_FACTS = CabFacts()
