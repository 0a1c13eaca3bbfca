"""Connections of Glue: where a database is, with its password, and where in the network jobs stand.

A password is held by a `Connection` and shown by nothing. One that differs from what is wanted is
updated as a whole, so that a password that was rotated is not tried for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from airkeep.aws.session import HERE, AwsPlace, client, explained

Change = Literal["created", "updated", "same"]


@dataclass(frozen=True)
class Connection:
    """A JDBC connection.

    Attributes:
        url: JDBC's, without the password.
        zone: the availability zone of the subnet.
    """

    name: str
    url: str
    user: str
    password: str = field(repr=False)
    subnet: str
    security_groups: tuple[str, ...]
    zone: str


def find(name: str, place: AwsPlace = HERE) -> Connection | None:
    """The connection of that name, its password included; None where there is none.

    Raises:
        AwsError: AWS refused or failed.
    """
    glue = client("glue", place)
    with explained(f"reading the connection {name}"):
        try:
            told = glue.get_connection(Name=name, HidePassword=False)["Connection"]
        except glue.exceptions.EntityNotFoundException:
            return None
    properties = told.get("ConnectionProperties", {})
    network = told.get("PhysicalConnectionRequirements", {})
    return Connection(
        name,
        properties.get("JDBC_CONNECTION_URL", ""),
        properties.get("USERNAME", ""),
        properties.get("PASSWORD", ""),
        network.get("SubnetId", ""),
        tuple(network.get("SecurityGroupIdList", ())),
        network.get("AvailabilityZone", ""),
    )


def put(wanted: Connection, place: AwsPlace = HERE) -> Change:
    """Have a connection be exactly this.

    Raises:
        AwsError: AWS refused or failed.
    """
    there = find(wanted.name, place)
    if there == wanted:
        return "same"
    glue = client("glue", place)
    with explained(f"saving the connection {wanted.name}"):
        if there is None:
            glue.create_connection(ConnectionInput=_input(wanted))
            return "created"
        glue.update_connection(Name=wanted.name, ConnectionInput=_input(wanted))
    return "updated"


def _input(wanted: Connection) -> dict[str, Any]:
    return {
        "Name": wanted.name,
        "Description": "The metadata database of an Airflow environment; kept by airkeep.",
        "ConnectionType": "JDBC",
        "ConnectionProperties": {
            "JDBC_CONNECTION_URL": wanted.url,
            "USERNAME": wanted.user,
            "PASSWORD": wanted.password,
        },
        "PhysicalConnectionRequirements": {
            "SubnetId": wanted.subnet,
            "SecurityGroupIdList": list(wanted.security_groups),
            "AvailabilityZone": wanted.zone,
        },
    }
