package provider

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a model's name.
const (
	maxModelParts = 8
	maxModelPart  = 128 // bytes
)

// CheckModel returns an error unless model can be the path of a model: 1 to 8 parts between
// slashes, none of which a URL takes for a folder, and not "predictions", which is another
// path of the API.
func CheckModel(model string) error {
	parts := strings.Split(model, "/")
	if len(parts) > maxModelParts {
		return fmt.Errorf("the model has %d parts, at most %d are possible", len(parts), maxModelParts)
	}
	if parts[0] == "predictions" {
		return fmt.Errorf("the API has predictions where the model would be: write one such as get3w/flux-dev")
	}
	for _, p := range parts {
		switch {
		case p == "" || p == "." || p == "..":
			return fmt.Errorf("the model has %q as a part: write one such as get3w/flux-dev", p)
		case len(p) > maxModelPart:
			return fmt.Errorf("a part of the model has %d bytes, at most %d are possible", len(p), maxModelPart)
		case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
			return fmt.Errorf("the model is not made of printable characters")
		}
	}
	return nil
}

// modelPath returns the model's path behind the base address.
func modelPath(model string) string {
	var path strings.Builder
	for p := range strings.SplitSeq(model, "/") {
		path.WriteString("/" + url.PathEscape(p))
	}
	return path.String()
}
