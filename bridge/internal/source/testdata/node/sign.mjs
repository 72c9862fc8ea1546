// Signs one webhook a line for each scheme: by the libraries of Standard Webhooks and of GitHub, and
// for fal as its page describes it.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { sign as signAsGitHub } from '@octokit/webhooks-methods'
import { Webhook } from 'standardwebhooks'

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
  const secret = 'whsec_' + key.toString('base64')
  say('standard', secret, body, {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(at),
    'webhook-signature': new Webhook(secret).sign('msg_1', new Date(at * 1000), body),
  })
}
{
  const body = '{"action":"completed","workflow_run":{"id":1,"conclusion":"success","name":"é"}}'
  say('github', 'own', body, { 'X-Hub-Signature-256': await signAsGitHub('own', body) })
}
