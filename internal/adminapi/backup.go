package adminapi

// BackupCall asks for a backup.
type BackupCall struct{}
