package forward

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/hookspan/hookspan/bridge"
)

const structuredType = "application/cloudevents+json"

// structured makes one document of the event, by the CloudEvents JSON format 1.0.2, and takes
// the attributes out of the header. A body that is JSON, with a content type that says so or
// none, becomes data as it stands; any other becomes data_base64.
func structured(header bridge.Header, contentType string, body []byte) []byte {
	attributes := make(map[string]string, len(header))
	if contentType != "" {
		attributes["datacontenttype"] = contentType
	}
	for key := range header {
		if name, ok := strings.CutPrefix(key, headerPrefix); ok {
			// The bridge's own encoding always decodes.
			attributes[name], _ = header.Value(key)
			delete(header, key)
		}
	}
	// A map of strings can always be marshalled; bad UTF-8 becomes U+FFFD.
	doc, _ := json.Marshal(attributes)
	if len(body) == 0 {
		return doc
	}
	out := make([]byte, 0, len(doc)+len(`,"data_base64":""`)+base64.StdEncoding.EncodedLen(len(body)))
	out = append(out, doc[:len(doc)-1]...)
	if isJSON(contentType) && utf8.Valid(body) && json.Valid(body) {
		out = append(append(out, `,"data":`...), body...)
		return append(out, '}')
	}
	out = append(out, `,"data_base64":"`...)
	out = base64.StdEncoding.AppendEncode(out, body)
	return append(out, `"}`...)
}

// isJSON reports whether every reader takes the content type for JSON. An empty one means JSON
// by section 3.1 of the format. By its section 3.1.1 more types do, such as those that end in
// +json; but not all readers follow it, and all of them read data_base64.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	return media == "" || media == "application/json" || media == "text/json"
}
