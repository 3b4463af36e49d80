// Go's lib/pq: what an application does with it, one line for each thing that it sees.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lib/pq"
)

func show(name string, values ...interface{}) { fmt.Printf("%s: %v\n", name, values) }

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func failure(err error) string {
	var known *pq.Error
	if errors.As(err, &known) {
		return fmt.Sprintf("%s %s %s %s", known.Severity, known.Code, known.Message, known.Constraint)
	}
	return fmt.Sprint(err)
}

func main() {
	byURL, err := sql.Open("postgres", os.Getenv("DRIVER_URL"))
	must(err)
	show("by url", byURL.Ping())
	must(byURL.Close())
	place := fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s sslmode=%s application_name=go", os.Getenv("PGHOST"), os.Getenv("PGPORT"), os.Getenv("PGUSER"), os.Getenv("PGPASSWORD"), os.Getenv("PGDATABASE"), os.Getenv("PGSSLMODE"))
	connector, err := pq.NewConnector(place)
	must(err)
	db := sql.OpenDB(pq.ConnectorWithNoticeHandler(connector, func(notice *pq.Error) { show("notice", notice.Severity, notice.Message) }))
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE go (id int PRIMARY KEY, name text NOT NULL, tags text[], raw bytea, at timestamptz)")
	must(err)
	insert, err := db.Prepare("INSERT INTO go VALUES ($1, $2, $3, $4, $5)")
	must(err)
	for id := 1; id <= 4; id++ {
		result, err := insert.Exec(id, "é'\\", pq.Array([]string{"x", "y"}), []byte{0, 255}, time.Unix(1700000000, 0).UTC())
		must(err)
		count, _ := result.RowsAffected()
		show("inserted", count)
	}
	var name string
	var tags []string
	var raw []byte
	var at time.Time
	must(db.QueryRow("SELECT name, tags, raw, at FROM go WHERE id = $1", 2).Scan(&name, pq.Array(&tags), &raw, &at))
	show("row", name, tags, raw, at.Unix())
	_, err = db.Exec("INSERT INTO go (id, name) VALUES ($1, $2)", 1, "x")
	show("unique", failure(err))
	_, err = db.Exec("SELEC 1")
	show("syntax", failure(err))
	transaction, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: false})
	must(err)
	_, err = transaction.Exec("INSERT INTO go (id, name) VALUES (10, 'inside')")
	must(err)
	_, err = transaction.Exec("SELECT 1/0")
	show("divided", failure(err))
	_, err = transaction.Exec("SELECT 1")
	show("failed", failure(err))
	show("rolled back", transaction.Rollback())
	transaction, err = db.Begin()
	must(err)
	copyIn, err := transaction.Prepare(pq.CopyIn("go", "id", "name"))
	must(err)
	for id := 20; id < 120; id++ {
		_, err = copyIn.Exec(id, fmt.Sprint("c\t", id))
		must(err)
	}
	_, err = copyIn.Exec()
	show("copied in", failure(err))
	must(copyIn.Close())
	must(transaction.Commit())
	var count int
	must(db.QueryRow("SELECT count(*) FROM go").Scan(&count))
	show("count", count)
	limited, stop := context.WithTimeout(context.Background(), 150*time.Millisecond)
	_, err = db.ExecContext(limited, "SELECT pg_sleep(30)")
	show("timed out", err != nil)
	stop()
	must(db.QueryRow("SELECT 1").Scan(&count))
	_, err = db.Exec("SELECT tell('to the handler')")
	must(err)
	rows, err := db.Query("SELECT 1; SELECT 2")
	must(err)
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			must(rows.Scan(&count))
			show("of many", count)
		}
	}
	must(rows.Close())
	listener := pq.NewListener(place, time.Second, time.Second, nil)
	must(listener.Listen("heard_go"))
	_, err = db.Exec("NOTIFY heard_go, 'payload'")
	must(err)
	note := <-listener.Notify
	show("notified", note.Channel, note.Extra)
	must(listener.Close())
	_, err = db.Exec("DROP TABLE go")
	must(err)
	_, err = db.Exec("SELECT * FROM go")
	show("gone", failure(err))
	must(db.Close())
}
