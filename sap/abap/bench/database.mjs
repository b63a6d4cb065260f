// One work process's connection to PostgreSQL, as SAP uses one: the first statement opens a transaction (the database LUW),
// COMMIT WORK and ROLLBACK WORK end it. The driver from npm commits every statement and knows neither. A statement that
// fails, such as an INSERT of an existing key, fails alone. Never runs inside SAP.
import databasePg from "@abaplint/database-pg";
import pg from "pg";

export class WorkProcess extends databasePg.PostgresDatabaseClient {
  #client;
  #open = false;

  constructor(url) {
    super({});
    this.url = url;
  }

  async connect() {
    this.#client = new pg.Client({ connectionString: this.url });
    await this.#client.connect();
    this.pool = { query: (sql) => this.#run(sql) };
  }

  async disconnect() {
    await this.#client.end();
    this.pool = undefined;
  }

  async #run(sql) {
    if (!this.#open) {
      await this.#client.query("BEGIN");
      this.#open = true;
    }
    await this.#client.query("SAVEPOINT statement");
    try {
      const result = await this.#client.query(sql);
      await this.#client.query("RELEASE SAVEPOINT statement");
      return result;
    } catch (error) {
      await this.#client.query("ROLLBACK TO SAVEPOINT statement");
      throw error;
    }
  }

  async #end(how) {
    if (this.#open) {
      this.#open = false;
      await this.#client.query(how);
    }
  }

  async commit() {
    await this.#end("COMMIT");
  }

  async rollback() {
    await this.#end("ROLLBACK");
  }
}
