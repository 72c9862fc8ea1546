package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// One backup is made at a time, and one that cannot begin says why.
func TestBackupAPI(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	begun, end := make(chan struct{}), make(chan struct{})
	s.SetAPI(func(api *echo.Group) {
		admin.RegisterBackup(api, func(_ context.Context, begin func(string) io.Writer) error {
			close(begun)
			<-end
			_, err := io.WriteString(begin(`multipart/mixed; boundary=x`), "--x\r\nFile: config.yaml\r\n\r\n\r\n--x--\r\n")
			return err
		})
	})
	answers := make(chan int, 1)
	go func() {
		res, err := http.Post("http://"+s.Addr().String()+"/api/v1/backup", "application/json", strings.NewReader("{}"))
		if err != nil {
			answers <- 0
			return
		}
		_ = res.Body.Close()
		answers <- res.StatusCode
	}()
	<-begun
	a := do(t, s, "POST", "/api/v1/backup", "{}", asJSON)
	require.Equal(t, 409, a.status)
	require.Contains(t, a.detail(t), "already")
	close(end)
	require.Equal(t, 200, <-answers)

	s.SetAPI(func(api *echo.Group) {
		admin.RegisterBackup(api, func(context.Context, func(string) io.Writer) error { return errors.New("the disk is on fire") })
	})
	require.Equal(t, 500, do(t, s, "POST", "/api/v1/backup", "{}", asJSON).status)
}
