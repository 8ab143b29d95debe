"""A server that speaks S3, in this process, which checks signatures and can be away for a while."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import httpx
from moto.server import ThreadedMotoServer

IAM = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x"
"""What a request is signed for is how the server tells what is asked of it, objects or users."""
PATIENCE_S = 60.0
ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"}]}'


class ObjectServer:
    """One user with a key, who may do everything with objects; what is stored outlasts a stop."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        _host, self._port = self._server.get_host_and_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._check_keys(after="inf")
        self._administer(Action="CreateUser", UserName="archiver")
        policy = {"PolicyName": "all", "PolicyDocument": ALL}
        self._administer(Action="PutUserPolicy", UserName="archiver", **policy)
        made = self._administer(Action="CreateAccessKey", UserName="archiver")
        found = {each.tag.rpartition("}")[2]: each.text or "" for each in made.iter()}
        self.environment = {
            "AWS_ENDPOINT": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        }
        self._check_keys(after="0")

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self._check_keys(after="inf")
        httpx.put(f"{self.url}/{name}", timeout=PATIENCE_S).raise_for_status()
        self._check_keys(after="0")

    def stop(self) -> None:
        """Be away."""
        self._server.stop()

    def start(self) -> None:
        """Be there again, at the same port."""
        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()

    def _check_keys(self, after: str) -> None:
        httpx.post(f"{self.url}/moto-api/reset-auth", content=after, timeout=PATIENCE_S).raise_for_status()

    def _administer(self, **fields: str) -> ET.Element:
        body = {"Version": "2010-05-08", **fields}
        answer = httpx.post(self.url, data=body, headers={"Authorization": IAM}, timeout=PATIENCE_S)
        return ET.fromstring(answer.raise_for_status().text)
