package console

import (
	"net/url"
	"strings"
)

// apiPrediction is the path of a prediction in the API.
func apiPrediction(source, id string) string {
	return "/predictions/" + url.PathEscape(source) + "/" + escaped(id)
}

// escaped is a segment of a path of the API, which has no steps.
func escaped(segment string) string {
	if strings.Trim(segment, ".") == "" {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}
