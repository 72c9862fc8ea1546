// Signs one webhook a line for each scheme, as the providers' pages describe it.
import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto'

const at = 1767268800
const say = (kind, secret, body, headers) => console.log(JSON.stringify({ kind, secret, body, at, headers }))

{
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const body = '{"request_id":"a","status":"OK","payload":{"text":"é"}}'
  const message = ['a', 'user_1', String(at), createHash('sha256').update(body).digest('hex')].join('\n')
  say('fal', publicKey.export({ format: 'jwk' }).x, body, {
    'X-Fal-Webhook-Request-Id': 'a',
    'X-Fal-Webhook-User-Id': 'user_1',
    'X-Fal-Webhook-Timestamp': String(at),
    'X-Fal-Webhook-Signature': sign(null, Buffer.from(message), privateKey).toString('hex'),
  })
}
{
  const key = Buffer.from('0123456789abcdef0123456789abcdef')
  const body = '{"id":"a","status":"completed","outputs":["é"]}'
  say('standard', 'whsec_' + key.toString('base64'), body, {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(at),
    'webhook-signature': 'v1,' + createHmac('sha256', key).update(`msg_1.${at}.${body}`).digest('base64'),
  })
}
{
  const body = '{"action":"completed","workflow_run":{"id":1,"conclusion":"success","name":"é"}}'
  say('github', 'own', body, { 'X-Hub-Signature-256': 'sha256=' + createHmac('sha256', 'own').update(body).digest('hex') })
}
