package console

import "fmt"

// cause is why something waits for somebody, in words.
type cause struct {
	// Words name it, Happened says more, Do says what to do about it.
	Words, Happened, Do string
	// Accept: a person may accept such a delivery. Stale and Path: a re-verification takes such
	// deliveries when it is told to.
	Accept, Stale, Path bool
}

// deadCauses are why consumers give up, by the token of the API.
var deadCauses = map[string]cause{
	"permanent": {Words: "No attempt can help", Happened: "The handler said so, or a command ended with exit status 65.", Do: "Repair the handler, then redrive."},
	"refused":   {Words: "Refused by the target", Happened: "The target does not want the event, such as a service that answers 422.", Do: "Settle it with the owner of the target, then redrive."},
	"exhausted": {
		Words: "Attempts used up", Happened: "It failed for as long as retry.give_up_after allows. A durable of another program delivered it as often as it may.",
		Do: "Repair what the error names, then redrive.",
	},
	"terminated": {Words: "Ended by its program", Happened: "A program of another team ended the delivery for good. The error is the reason that it gave.", Do: "Ask the team of that program."},
	"conflict": {
		Words: "Says something else", Happened: "The consumer acts once, and has acted on another event about the same status of the same prediction.",
		Do: "Look at both events. Redriven, this one becomes a conflict again.",
	},
	"poison":      {Words: "Ends its handler", Happened: "Ten deliveries in a row ended without a verdict: the event ends every process that handles it.", Do: "Repair the handler, then redrive."},
	"undecodable": {Words: "No event", Happened: "The message is no event of Hookspan.", Do: "Look at it, then drop it."},
	"expired":     {Words: "Left unread", Happened: "Events left the stream before the consumer had handled them. The body names which.", Do: "Hookspan cannot bring them back. Drop it when you know what is missing."},
	"not_found":   {Words: "Unknown to the provider", Happened: "The provider said three times in a row that it does not know the prediction.", Do: "See that it was submitted to the account of api.key, then redrive: the bridge asks the provider again."},
	"unfinished":  {Words: "Has not ended", Happened: "The prediction is overdue, and had no end for predictions.give_up_after.", Do: "Ask the provider what has become of it, then redrive."},
}

// Remedies that causes of kept deliveries share.
const (
	doSecret  = "Put the secret right, as the diagnosis says, then re-verify."
	doCompare = "Compare the secret with the sender's, and look for a proxy that writes the JSON anew on the way. Or somebody else posts here."
	doSender  = "Repair the sender, or what is between it and the bridge. These deliveries cannot become events: their signature does not prove what the source demands."
	doAccept  = "Readers understand such a text in different ways: look at it, then accept it. Act by hand on what cannot be accepted, then drop it."
	doByHand  = "No event can be made of it: act on it by hand, then drop it."
)

// keptCauses are why deliveries did not become events, by the token of the API.
var keptCauses = map[string]cause{
	"no_secret":          {Words: "No secret is set", Do: doSecret},
	"secret_whitespace":  {Words: "White space in a secret", Do: doSecret},
	"secret_prefix":      {Words: "Prefix or quotes in a secret", Do: doSecret},
	"secret_encoded":     {Words: "Secret is encoded", Do: doSecret},
	"retired_secret":     {Words: "Signed with a retired secret", Do: doSecret},
	"wrong_signature":    {Words: "Wrong signature", Do: doCompare},
	"not_authentic":      {Words: "Not authentic", Happened: "Too many came at once for a diagnosis.", Do: doCompare},
	"no_signature":       {Words: "No signature", Do: doSender},
	"several_signatures": {Words: "Several signatures", Do: doSender},
	"wrong_length":       {Words: "Length of no signature", Do: doSender},
	"not_hex":            {Words: "Signature is not hexadecimal", Do: doSender},
	"looks_base64":       {Words: "Signature in base64", Do: doSender},
	"signature_prefix":   {Words: "Text before the signature", Do: doSender},
	"no_timestamp":       {Words: "No time that is signed", Do: doSender},
	"timestamp_outside":  {Words: "Signed at another time", Do: "Set the clock of this machine by NTP. If the clock is right, somebody sends a captured request again: drop it."},
	"unconfirmed":        {Words: "Not confirmed by the provider", Do: "Ask the provider for the prediction with hookspan predictions poll, which stores what it answers. Then drop it."},
	"body_changed":       {Words: "Body changed on the way", Do: doSender},
	"path_token":         {Words: "Wrong path token", Do: "Put the URL or path_token right. Re-verify takes those whose signature is right, when it is told to.", Path: true},
	"too_large":          {Words: "Too large", Do: "Raise ingress.max_body. The bridge kept only the beginning, so the sender must send again."},
	"stale":              {Words: "Too old on arrival", Do: "If it is no captured request: look at it, then accept it. An event that was stored more than two hours ago is then stored again.", Accept: true, Stale: true},
	"encoding":           {Words: "Text with broken characters", Do: doAccept, Accept: true},
	"syntax":             {Words: "Not one JSON object", Do: doAccept, Accept: true},
	"duplicate_key":      {Words: "A name stands twice", Do: doAccept, Accept: true},
	"depth":              {Words: "Nested too deeply", Do: doAccept, Accept: true},
	"no_id":              {Words: "No id of a prediction", Do: doByHand},
	"no_status":          {Words: "No status", Do: doByHand},
	"too_long":           {Words: "A part is too long", Do: doByHand},
	"unreadable":         {Words: "Not written by Hookspan", Do: "Some other program may write into the stream: find it, then drop this."},
}

func deadCause(token any) cause { return causeIn(deadCauses, token) }
func keptCause(token any) cause { return causeIn(keptCauses, token) }

// anyCause returns the words of a cause of either kind: no token is of both.
func anyCause(token string) cause {
	if c, ok := deadCauses[token]; ok {
		return c
	}
	return keptCause(token)
}

// causeIn returns the words of a cause, also of one that a newer bridge has.
func causeIn(known map[string]cause, token any) cause {
	if c, ok := known[fmt.Sprint(token)]; ok {
		return c
	}
	return cause{Words: words(token)}
}
