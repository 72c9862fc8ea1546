// Reads a consumer of kind pull: eval "$(hookspan nats-env --consumer NAME)"; node consumer.mjs NAME
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

// Your work. An event may come twice, then with the same key. An error that is thrown brings it again in 5 s.
async function handle(prediction, key) {
  const answer = await fetch(prediction.outputs[0], { headers: { "Idempotency-Key": key }, signal: AbortSignal.timeout(20_000) });
  if (answer.status === 429) return { again: new Date(Date.now() + 1000 * answer.headers.get("Retry-After")) }; // in 7 days at most
  if (answer.status === 404) return { dead: "the output is gone" }; // no attempt can help
  if (!answer.ok) throw new Error(`the output is answered ${answer.status}`);
}

const name = process.argv[2], { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: pass } = process.env;
const js = jetstream(await connect({ servers, user, pass, maxReconnectAttempts: -1 }));
const durable = await js.consumers.get("HOOKSPAN_EVENTS", name);
for await (const m of await durable.consume({ max_messages: 1 })) {
  m.working(); // it was fetched while another one was handled: the lease, 30 s unless configured, begins now
  try {
    const { again, dead } = (await handle(m.json(), `${name}:${m.headers.get("ce-source")}:${m.headers.get("ce-id")}`)) ?? {};
    const target = m.subject.replace(/^hookspan\.(events|again\.[^.]+)/, `hookspan.due.${name}`);
    if (again) await js.publish(`hookspan.later.${name}.${m.seq}`, m.data, { headers: m.headers, schedule: { specification: again, target } });
    if (dead) m.term(dead); else await m.ackAck();
  } catch (err) { console.error(m.subject, err.message); m.nak(5_000); }
}
