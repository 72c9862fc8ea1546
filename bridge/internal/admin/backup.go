package admin

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// backupTime is how long the client of a backup may take to read what it was sent last.
const backupTime = time.Minute

// Backup writes a backup to what begin returns. It calls begin, with the content type, once it
// can begin; an error from before that is the answer, and what ends a backup later is told in
// the body.
type Backup func(ctx context.Context, begin func(contentType string) io.Writer) error

// RegisterBackup adds the route that answers with a backup. There is one at a time.
func RegisterBackup(api *echo.Group, backup Backup) {
	var busy atomic.Bool
	api.POST("/backup", func(c echo.Context) error {
		var call adminapi.BackupCall
		if err := decodeCall(c, &call); err != nil {
			return err
		}
		if !busy.CompareAndSwap(false, true) {
			return echo.NewHTTPError(http.StatusConflict, "A backup is being made already: wait for it.")
		}
		defer busy.Store(false)
		return stream(c, backup)
	})
}

// stream answers with what write writes, for as long as the client reads.
func stream(c echo.Context, write Backup) error {
	res := c.Response()
	// The server notices that a client leaves only while it may read.
	if err := http.NewResponseController(res).SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	leaveInFlight(c.Request().Context())
	return write(c.Request().Context(), func(contentType string) io.Writer {
		h := res.Header()
		h.Set(echo.HeaderContentType, contentType)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
		res.WriteHeader(http.StatusOK)
		return patient{res}
	})
}

// patient writes to a client that reads.
type patient struct{ http.ResponseWriter }

func (p patient) Write(b []byte) (int, error) {
	if err := http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(backupTime)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}
