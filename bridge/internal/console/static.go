package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"

	"github.com/klauspost/compress/gzhttp"
)

//go:embed static
var staticFiles embed.FS

// versions are the first digits of the checksums of the static files. A page names a file with
// its version, so that a browser may keep the file for ever.
var versions = staticVersions()

func staticVersions() map[string]string {
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		text, err := staticFiles.ReadFile(path.Join("static", e.Name()))
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		all[e.Name()] = hex.EncodeToString(sum[:6])
	}
	return all
}

// asset returns the path of a static file.
func asset(name string) string { return "/static/" + name + "?v=" + versions[name] }

// static serves the files that are part of the program. They hold nothing of a bridge. Missing
// answers other names.
func static(missing http.Handler) http.Handler {
	files := http.FileServerFS(staticFiles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if versions[name] == "" {
			missing.ServeHTTP(w, r)
			return
		}
		if r.URL.Query().Get("v") == versions[name] {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-cache")
		}
		files.ServeHTTP(w, r)
	})
}

// compressed compresses pages and static files, but not what comes bit by bit or is compressed
// already.
func compressed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.ContentTypes([]string{"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml"}))
	if err != nil {
		panic(err)
	}
	return wrap(next)
}
