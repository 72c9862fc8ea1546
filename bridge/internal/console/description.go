package console

import "net/http"

// described are where the API has the documents of what others may rely on, under "/api".
var described = []string{"/openapi.yaml", "/asyncapi.yaml", "/schemas/{name}"}

// description passes such a document on to a browser, which has the token in its cookie.
func (c *Console) description(w http.ResponseWriter, r *http.Request) {
	v := c.visit(r)
	req, err := v.requestOf(r.Context(), r.Method, "/api"+r.URL.EscapedPath(), nil)
	if err != nil {
		c.fail(w, v, err)
		return
	}
	c.pass(w, v, req)
}
