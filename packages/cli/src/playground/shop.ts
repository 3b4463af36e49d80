import { readFileSync } from 'node:fs'
import type pg from 'pg'

/** How many rows of what a human makes; the rest follows from these. */
export interface ShopSize {
  readonly customers: number
  readonly products: number
  /** A multiple of 20, so that the derived numbers come out whole. */
  readonly orders: number
  readonly staff: number
  readonly audit: number
}

const categories = 24

/** 184,000 rows in all. */
export const productionSize: ShopSize = { customers: 10_000, products: 776, orders: 30_000, staff: 40, audit: 36_660 }
export const stagingSize: ShopSize = { customers: 250, products: 120, orders: 800, staff: 8, audit: 500 }

/** Rows of every table, as shop.sql makes them. */
export function countShopRows(size: ShopSize): { readonly [table: string]: number } {
  return {
    categories,
    staff: size.staff,
    customers: size.customers,
    products: size.products,
    orders: size.orders,
    order_items: (size.orders / 5) * 13,
    payments: (size.orders / 20) * 19,
    audit_log: size.audit,
  }
}

/** Fills an empty database. `anchor` is the newest moment in the data; the same anchor gives the same rows. */
export async function fillShop(client: pg.Client, size: ShopSize, anchor: Date): Promise<void> {
  const settings = { ...size, anchor: anchor.toISOString() }
  for (const [name, value] of Object.entries(settings))
    await client.query('SELECT set_config($1, $2, false)', [`shop.${name}`, String(value)])
  await client.query(readFileSync(new URL('./shop.sql', import.meta.url), 'utf8'))
}
