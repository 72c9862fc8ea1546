"""Signs one webhook a line for each scheme, as the providers' pages describe it."""
import base64, hashlib, hmac, json

AT = 1767268800


def mac(key, text, algorithm=hashlib.sha256):
    return hmac.new(key.encode(), text.encode(), algorithm)


def say(kind, secret, body, headers):
    print(json.dumps({"kind": kind, "secret": secret, "body": body, "at": AT, "headers": headers}))


body = '{"id":"a","status":"completed","outputs":["https://x.example/é.png"]}'
secret = "whsec_c2VjcmV0"
say("wavespeed", secret, body, {
    "webhook-id": "msg_1", "webhook-timestamp": str(AT),
    "webhook-signature": "v3," + mac(secret.removeprefix("whsec_"), f"msg_1.{AT}.{body}").hexdigest(),
})
body = '{"task_id":"a","status":"Ready","result":{"sample":"https://x.bfl.ai/é.jpg"}}'
say("bfl", "own secret", body, {"X-BFL-Signature": "sha256=" + mac("own secret", body).hexdigest()})
body = '{"request_id":"a","model_id":"m","type":"async_request_completed","data":{"text":"é"},"errors":[]}'
say("baseten", secret, body, {
    "X-BASETEN-SIGNATURE": "v1=" + mac("the one before", body).hexdigest() + ",v1=" + mac(secret, body).hexdigest(),
})
body = '{"type":"post_call_transcription","event_timestamp":1767268800,"data":{"conversation_id":"é"}}'
say("elevenlabs", "wsec_1", body, {"ElevenLabs-Signature": f"t={AT},v0=" + mac("wsec_1", f"{AT}.{body}").hexdigest()})
body = '{"code":200,"data":{"taskId":"a"},"msg":"é"}'
say("kie", "kie secret", body, {
    "X-Webhook-Timestamp": str(AT), "X-Webhook-Signature": base64.b64encode(mac("kie secret", f"a.{AT}").digest()).decode(),
})
body = '{"job":{"id":"a","state":"fertig","files":["é"]}}'
say("hmac", "own", body, {
    "X-Mine-Time": str(AT), "X-Mine": "s=" + base64.b64encode(mac("own", f"{AT}:{body}", hashlib.sha512).digest()).decode(),
})
