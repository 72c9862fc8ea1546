// Package mediatype judges media types that senders give.
package mediatype

import (
	"mime"
	"strings"
)

// JSON is the media type of JSON.
const JSON = "application/json"

// cloudEvents is the prefix of the media types of messages whose body is a whole CloudEvent.
const cloudEvents = "application/cloudevents"

// IsData reports whether a content type can be that of a CloudEvent's data: a media type (RFC
// 2046) in printable ASCII that contains no type of CloudEvents itself. Receivers would read a
// body of such a type, or of one that only begins with it, as the event, with attributes of the
// sender's choice.
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
