package console

import "net/http"

// act is what a person does with a form. It returns where the person goes on, or the page that
// is shown instead, such as what would happen.
type act func(v *visit) (done, error)

// done is how an act went on.
type done struct {
	// to is a path of the console; empty: page is shown with data.
	to   string
	page page
	data any
}

// act returns the handler of a form. The admin server has refused forms of other sites before;
// the API checks the scope.
func (c *Console) act(do act) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := c.visit(r)
		if err := v.identify(); err != nil {
			c.fail(w, v, err)
			return
		}
		if err := r.ParseForm(); err != nil {
			c.fail(w, v, &problem{Status: http.StatusBadRequest, Title: "The form could not be read: go back and try again."})
			return
		}
		d, err := do(v)
		switch {
		case err != nil:
			c.fail(w, v, err)
		case d.to != "":
			http.Redirect(w, r, d.to, http.StatusSeeOther)
		default:
			c.render(w, v, d.page, d.data)
		}
	})
}
