// Package mediatype judges the media types that senders call their bodies by.
package mediatype

import (
	"mime"
	"strings"
)

// JSON is the media type of JSON.
const JSON = "application/json"

// cloudEvents begins the media types by which a receiver knows that the body of a
// message is a whole CloudEvent.
const cloudEvents = "application/cloudevents"

// IsData reports whether a content type can say what the data of a CloudEvent is:
// it is a media type (RFC 2046) in printable ASCII, and nowhere names a type of
// CloudEvents itself. Receivers would read a body of such a type, or of one that only
// begins with it, as the event, with attributes of the sender's choice.
func IsData(contentType string) bool {
	if contentType == JSON {
		return true
	}
	for i := range len(contentType) {
		if c := contentType[i]; c < ' ' || c > '~' {
			return false
		}
	}
	media, _, err := mime.ParseMediaType(contentType)
	kind, subtype, _ := strings.Cut(media, "/")
	return err == nil && kind != "" && subtype != "" && !strings.Contains(strings.ToLower(contentType), cloudEvents)
}
