# Reads a consumer of kind pull: eval "$(hookspan nats-env --consumer NAME)"; python3 consumer.py NAME
# NOT RUN: it follows the source of nats-py 2 (pip install nats-py) and does what ../node/consumer.mjs does, which is tested.
import asyncio, json, os, re, sys, time, urllib.error, urllib.request
import nats, nats.errors
def handle(prediction, key):  # Your work. An event may come twice, then with the same key. An exception brings it again in 5 s.
    try:
        urllib.request.urlopen(urllib.request.Request(prediction["outputs"][0], headers={"Idempotency-Key": key}), timeout=20).close()
    except urllib.error.HTTPError as answer:
        if answer.code == 429: return {"again": time.time() + int(answer.headers["Retry-After"])}  # in 7 days at most
        if answer.code == 404: return {"dead": "the output is gone"}  # no attempt can help
        raise
async def main(name, env=os.environ):
    nc = await nats.connect(env["NATS_URL"], user=env["NATS_USER"], password=env["NATS_PASSWORD"], max_reconnect_attempts=-1)
    durable = await nc.jetstream().pull_subscribe_bind(name, stream="HOOKSPAN_EVENTS")
    while True:
        try: [m] = await durable.fetch(1, timeout=30)
        except nats.errors.TimeoutError: continue  # there was none
        try:
            verdict = await asyncio.to_thread(handle, json.loads(m.data), f"{name}:{m.headers['ce-source']}:{m.headers['ce-id']}") or {}
            at, target = time.gmtime(verdict.get("again")), re.sub(r"^hookspan\.(events|again\.[^.]+)", f"hookspan.due.{name}", m.subject)
            wait = {"Nats-Schedule": time.strftime("@at %Y-%m-%dT%H:%M:%SZ", at), "Nats-Schedule-Target": target}
            if "again" in verdict: await nc.jetstream().publish(f"hookspan.later.{name}.{m.metadata.sequence.stream}", m.data, headers=m.headers | wait)
            await (nc.publish(m.reply, b"+TERM " + verdict["dead"].encode()) if "dead" in verdict else m.ack_sync())
        except Exception as err: print(m.subject, err, file=sys.stderr); await m.nak(delay=5)
asyncio.run(main(sys.argv[1]))
