"""Messages to a topic of Amazon SNS."""

from __future__ import annotations

from airkeep.aws.session import HERE, AwsPlace, client, explained

_LONGEST_SUBJECT = 100  # SNS refuses a longer one, and any that is not plain ASCII


def publish(topic_arn: str, subject: str, message: str, place: AwsPlace = HERE) -> str:
    """Send a message to whoever subscribed to a topic: its id.

    Raises:
        AwsError: AWS refused or failed.
    """
    sns = client("sns", place)
    plain = " ".join(subject.encode("ascii", "replace").decode().split())
    with explained(f"telling {topic_arn}"):
        sent = sns.publish(TopicArn=topic_arn, Subject=plain[:_LONGEST_SUBJECT], Message=message)
    return str(sent["MessageId"])
