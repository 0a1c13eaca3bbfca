"""Where a subnet is."""

from __future__ import annotations

from airkeep.aws.session import HERE, AwsPlace, client, explained
from airkeep.errors import AwsError


def zone_of(subnet: str, place: AwsPlace = HERE) -> str:
    """The availability zone of a subnet.

    Raises:
        AwsError: AWS refused or failed, or knows no such subnet.
    """
    ec2 = client("ec2", place)
    with explained(f"looking at the subnet {subnet}"):
        found = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    if not found:
        raise AwsError(f"there is no subnet {subnet} in this account and region")
    return str(found[0]["AvailabilityZone"])
