"""One message in an envelope of its own."""

from __future__ import annotations

from talka_protocols.messages import (
    Advance,
    Envelope,
    Letter,
    Parcel,
    decode_envelope,
    sealed,
)


def test_a_sealed_message_is_the_only_one_in_its_envelope() -> None:
    """Whoever opens the envelope finds the sender, its epoch, the letter's id and the message."""
    message = Advance("e1")
    opened = decode_envelope(sealed("client-1", message, letter_id="client-1:7", epoch=3))
    assert opened == Envelope((Parcel("client-1", 3, (Letter("client-1:7", message),)),))
    assert decode_envelope(sealed("client-1", message, letter_id="x")).parcels[0].epoch == 0
