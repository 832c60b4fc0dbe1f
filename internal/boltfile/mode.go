package boltfile

import (
	"log/slog"
	"os"
	"runtime"
)

// warn logs a warning if other users can read or write the file. This package creates files that only their owner can use, so the file
// existed before, or its mode was changed. The mode is not corrected, because there may be a reason for it.
func warn(log *slog.Logger, path string, file *os.File) {
	info, err := file.Stat()
	if err != nil || runtime.GOOS == "windows" { // whose modes do not concern other users
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		log.Warn("other users can read or write the database file", "file", path, "mode", mode.String(), "hint", "chmod 600 "+path)
	}
}
