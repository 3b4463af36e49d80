import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.sql.*;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

/** pgjdbc: what an application does with it, one line for each thing that it sees. */
public class Jdbc {
  interface Work { Object run() throws Exception; }

  static void show(String name, Object value) {
    System.out.println(name + ": " + value);
  }

  static String failure(Work work) throws Exception {
    try {
      return "no error " + work.run();
    } catch (SQLException error) {
      StringBuilder out = new StringBuilder();
      for (SQLException one = error; one != null; one = one.getNextException())
        out.append(one.getClass().getSimpleName()).append(' ').append(one.getSQLState()).append(' ').append(one.getMessage().replace('\n', '|')).append("; ");
      if (error instanceof BatchUpdateException) out.append(Arrays.toString(((BatchUpdateException) error).getUpdateCounts()));
      return out.toString();
    }
  }

  static Connection open(String... more) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", System.getenv("PGUSER"));
    properties.setProperty("password", System.getenv("PGPASSWORD"));
    properties.setProperty("sslmode", System.getenv("PGSSLMODE"));
    for (int at = 0; at < more.length; at += 2) properties.setProperty(more[at], more[at + 1]);
    return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), properties);
  }

  public static void main(String[] args) throws Exception {
    for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
      try (Connection connection = open("preferQueryMode", mode, "ApplicationName", "jdbc " + mode)) {
        show("mode", mode);
        work(connection);
      }
    }
    try (Connection connection = open("binaryTransfer", "true", "prepareThreshold", "-1", "reWriteBatchedInserts", "true")) {
      show("mode", "binary at once");
      work(connection);
    }
    try (Connection connection = open()) {
      catalog(connection);
    }
  }

  static void work(Connection connection) throws Exception {
    boolean isSimple = "simple".equals(connection.unwrap(PGConnection.class).getPreferQueryMode().value());
    Statement plain = connection.createStatement();
    plain.execute("CREATE TABLE jdbc (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2), at timestamptz, tags text[], raw bytea, flag boolean, big bigint, real double precision)");
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")) {
      for (int turn = 1; turn <= 8; turn++) {
        insert.setInt(1, turn);
        insert.setString(2, "é'\\" + turn);
        insert.setBigDecimal(3, new java.math.BigDecimal("1.50"));
        insert.setTimestamp(4, new Timestamp(1700000000000L));
        insert.setArray(5, connection.createArrayOf("text", new String[] {"x", null}));
        // In its simple mode this driver writes bytes as no server reads them.
        insert.setBytes(6, isSimple ? null : new byte[] {0, -1});
        insert.setBoolean(7, turn % 2 == 0);
        insert.setLong(8, 1L << 40);
        insert.setDouble(9, 0.1);
        show("inserted", insert.executeUpdate());
      }
    }
    try (PreparedStatement select = connection.prepareStatement("SELECT * FROM jdbc WHERE id = ?")) {
      for (int turn = 1; turn <= 8; turn++) {
        select.setInt(1, turn);
        try (ResultSet rows = select.executeQuery()) {
          rows.next();
          show("row", rows.getInt(1) + " " + rows.getString(2) + " " + rows.getBigDecimal(3) + " " + rows.getTimestamp(4).getTime() + " " + Arrays.toString((Object[]) rows.getArray(5).getArray()) + " " + Arrays.toString(rows.getBytes(6)) + " " + rows.getBoolean(7) + " " + rows.getLong(8) + " " + rows.getDouble(9));
        }
      }
    }
    try (PreparedStatement batch = connection.prepareStatement("INSERT INTO jdbc (id, name) VALUES (?, ?)")) {
      for (int number = 100; number < 140; number++) {
        batch.setInt(1, number);
        batch.setString(2, "n" + number);
        batch.addBatch();
      }
      show("batch", Arrays.toString(batch.executeBatch()));
      for (int number = 200; number < 203; number++) {
        batch.setInt(1, number == 201 ? 100 : number);
        batch.setString(2, "second");
        batch.addBatch();
      }
      show("middle of a batch", failure(batch::executeBatch));
    }
    plain.addBatch("UPDATE jdbc SET name = 'one' WHERE id = 1");
    plain.addBatch("DELETE FROM jdbc WHERE id = 2");
    plain.addBatch("SELECT nothing");
    show("statements", failure(() -> Arrays.toString(plain.executeBatch())));
    plain.clearBatch();
    show("keys", keys(connection));
    connection.setAutoCommit(false);
    plain.execute("INSERT INTO jdbc (id, name) VALUES (300, 'outer')");
    Savepoint savepoint = connection.setSavepoint("inner");
    show("unique", failure(() -> plain.executeUpdate("INSERT INTO jdbc (id, name) VALUES (300, 'twice')")));
    show("failed", failure(() -> plain.executeQuery("SELECT 1")));
    connection.rollback(savepoint);
    connection.releaseSavepoint(savepoint);
    connection.commit();
    try (PreparedStatement fetched = connection.prepareStatement("SELECT generate_series(1, 25)")) {
      fetched.setFetchSize(10);
      int sum = 0;
      try (ResultSet rows = fetched.executeQuery()) {
        while (rows.next()) sum += rows.getInt(1);
      }
      show("fetched in pieces", sum);
    }
    connection.rollback();
    connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
    connection.setReadOnly(true);
    show("read only", failure(() -> plain.executeUpdate("DELETE FROM jdbc WHERE id = 300")));
    connection.rollback();
    connection.setReadOnly(false);
    connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
    connection.setAutoCommit(true);
    PGConnection own = connection.unwrap(PGConnection.class);
    show("copied in", own.getCopyAPI().copyIn("COPY jdbc (id, name) FROM STDIN (FORMAT csv)", new StringReader("400,a\n401,\"b,c\"\n")));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    show("copied out", own.getCopyAPI().copyOut("COPY (SELECT id, name FROM jdbc WHERE id >= 400 ORDER BY id) TO STDOUT", out) + " " + out);
    show("copy fails", failure(() -> own.getCopyAPI().copyIn("COPY jdbc (id, name) FROM STDIN", new ByteArrayInputStream("x\ty\n".getBytes()))));
    plain.execute("LISTEN heard_jdbc");
    plain.execute("NOTIFY heard_jdbc, 'payload'");
    for (PGNotification one : own.getNotifications(5000)) show("notified", one.getName() + " " + one.getParameter());
    plain.execute("UNLISTEN *");
    plain.execute("SELECT tell('in a warning')");
    show("warning", plain.getWarnings().getSQLState() + " " + plain.getWarnings().getMessage());
    plain.setQueryTimeout(1);
    show("timeout", failure(() -> plain.execute("SELECT pg_sleep(30)")));
    plain.setQueryTimeout(0);
    show("many", plain.execute("SELECT 1; UPDATE jdbc SET name = 'two' WHERE id = 1; SELECT 3") + " " + plain.getMoreResults() + " " + plain.getUpdateCount() + " " + plain.getMoreResults());
    if (!isSimple) try (CallableStatement call = connection.prepareCall("{ ? = call tell(?) }")) {
      call.registerOutParameter(1, Types.VARCHAR);
      call.setString(2, "called");
      call.execute();
      show("called", call.getString(1));
    }
    try (PreparedStatement described = connection.prepareStatement("SELECT id, name FROM jdbc WHERE id = ? AND name = ?")) {
      show("parameters", failure(() -> described.getParameterMetaData().getParameterTypeName(1)));
      show("columns", failure(() -> described.getMetaData().getColumnTypeName(2)));
    }
    try (Statement updatable = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
      ResultSet rows = updatable.executeQuery("SELECT id, name FROM jdbc WHERE id = 3");
      rows.next();
      rows.updateString("name", "by the result set");
      rows.updateRow();
      rows.close();
    }
    show("valid", connection.isValid(5));
    plain.execute("DROP TABLE jdbc");
    show("gone", failure(() -> plain.executeQuery("SELECT * FROM jdbc")));
  }

  static String keys(Connection connection) throws SQLException {
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc (id, name) VALUES (500, 'k')", new String[] {"id"})) {
      insert.executeUpdate();
      ResultSet keys = insert.getGeneratedKeys();
      keys.next();
      return String.valueOf(keys.getInt(1));
    }
  }

  static void catalog(Connection connection) throws Exception {
    DatabaseMetaData data = connection.getMetaData();
    show("keys of items", rows(data.getPrimaryKeys(null, "public", "items"), 4));
    show("columns of items", rows(data.getColumns(null, "public", "items", "%"), 4, 6, 18));
    show("foreign keys", rows(data.getImportedKeys(null, "public", "child"), 3, 4, 7, 8));
    show("functions", rows(data.getProcedures(null, "public", "in_and_out"), 3));
    show("types", rows(data.getTypeInfo(), 1).length() > 100);
  }

  static String rows(ResultSet rows, int... columns) throws SQLException {
    StringBuilder out = new StringBuilder();
    while (rows.next()) for (int column : columns) out.append(rows.getString(column)).append(' ');
    return out.toString();
  }
}
