package console

import "net/http"

// descriptionPath is where the API has its description.
const descriptionPath = "/api/openapi.yaml"

// description passes the description of the API on to a browser, which has the token in its
// cookie.
func (c *Console) description(w http.ResponseWriter, r *http.Request) {
	v := c.visit(r)
	req, err := v.requestOf(r.Context(), r.Method, descriptionPath, nil)
	if err != nil {
		c.fail(w, v, err)
		return
	}
	c.pass(w, v, req)
}
