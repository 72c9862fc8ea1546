package app

import (
	"context"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// openJobs returns the jobs of this process, which work from now on: one that is asked for jobs
// does them.
func (a *App) openJobs(again *redelivery.Redeliverer, kept keptEntries, eraser *erase.Eraser) (*jobs.Jobs, error) {
	kinds := again.Kinds()
	kinds[adminapi.JobDropKept] = kept.DropJob()
	kinds[adminapi.JobErase] = eraser.Kind()
	if a.ingress != nil { // it has the secrets
		kinds[adminapi.JobReverify] = kept.ReverifyJob()
	}
	j := jobs.New(a.store.consume, a.store.publisher, jobs.Config{
		Names: a.cfg.Names(), Kinds: kinds, Process: processName(), Place: viewName(a.folder.Dir()), Tell: a.tellJob, Logger: a.log,
	})
	a.group.Go(a.provisioner.whenProvisioned(a.ctx, j.Run))
	return j, a.register(j.Collectors()...)
}

// tellJob records that a job was begun or has ended: all that operators learn of it later, once
// the job itself has made room for others. The audit has the call that began it already, with
// what it selects.
func (a *App) tellJob(_ context.Context, job adminapi.Job) {
	text := "a job was begun"
	if job.State.Ended() {
		text = "a job has ended"
		count, status := job.Total-job.Left, http.StatusOK
		if job.State == adminapi.JobFailed {
			status = http.StatusInternalServerError
		}
		a.audit.Append(adminapi.Change{
			At: job.EndedAt, Who: job.By, Scope: adminapi.ScopeAct, Route: "END /jobs/:id", Path: "/jobs/" + job.ID, Count: &count, Status: status,
			Selection: fmt.Sprintf(`{"kind":%q,"state":%q}`, job.Kind, job.State),
		})
	}
	a.log.Named("jobs").Info(text, zap.String("job", job.ID), zap.String("kind", job.Kind), zap.String("state", string(job.State)),
		zap.String("by", job.By), zap.ByteString("call", job.Call), zap.Int("total", job.Total), zap.Any("outcomes", job.Outcomes),
		zap.Int("left", job.Left), zap.String("error", job.Error))
}
