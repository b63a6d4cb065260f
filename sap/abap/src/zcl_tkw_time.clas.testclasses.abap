CLASS ltcl_time DEFINITION FINAL FOR TESTING RISK LEVEL HARMLESS DURATION SHORT.

  PRIVATE SECTION.
    METHODS iso_is_read FOR TESTING.
    METHODS no_moment_is_none FOR TESTING.
    METHODS http_date_is_read FOR TESTING.
    METHODS seconds_over_midnight FOR TESTING.
    METHODS distance_signed_and_capped FOR TESTING.
    METHODS shown_is_readable FOR TESTING.
    METHODS now_is_a_moment FOR TESTING.

    METHODS same
      IMPORTING
        got      TYPE ztkw_moment
        expected TYPE ztkw_moment.

    METHODS iso
      IMPORTING
        text     TYPE string
        expected TYPE ztkw_moment.
ENDCLASS.


CLASS ltcl_time IMPLEMENTATION.

  METHOD same.
    cl_abap_unit_assert=>assert_equals( act = got
                                        exp = expected ).
  ENDMETHOD.

  METHOD iso.
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_time=>from_iso( text )
                                        exp = expected
                                        msg = text ).
  ENDMETHOD.

  METHOD iso_is_read.
    iso( text     = `2026-11-23T10:15:30+00:00`
         expected = 20261123101530 ).
    iso( text     = `2026-11-23T10:15:30Z`
         expected = 20261123101530 ).
    iso( text     = `2026-11-23T10:15:30.123456Z`
         expected = 20261123101530 ).
    iso( text     = `2026-11-23T01:15:30+05:30`
         expected = 20261122194530 ).
    iso( text     = `2026-12-31T20:00:00-05:00`
         expected = 20270101010000 ).
    iso( text     = `2028-02-29T00:00:00Z`
         expected = 20280229000000 ).
  ENDMETHOD.

  METHOD no_moment_is_none.
    iso( text     = ``
         expected = 0 ).
    iso( text     = `2026-11-23`
         expected = 0 ).
    iso( text     = `2026-13-23T10:15:30Z`
         expected = 0 ).
    iso( text     = `2026-02-30T10:15:30Z`
         expected = 0 ).
    iso( text     = `2026-11-23T25:15:30Z`
         expected = 0 ).
    iso( text     = `2026-11-23T10:15:30`
         expected = 0 ).
    iso( text     = `x2026-11-23T10:15:30Z`
         expected = 0 ).
  ENDMETHOD.

  METHOD http_date_is_read.
    same( got      = zcl_tkw_time=>from_http_date( `Mon, 23 Nov 2026 10:15:30 GMT` )
          expected = '20261123101530' ).
    same( got      = zcl_tkw_time=>from_http_date( `Fri, 01 Jan 2027 00:00:00 GMT` )
          expected = '20270101000000' ).
    cl_abap_unit_assert=>assert_initial( zcl_tkw_time=>from_http_date( `Mon, 23 Xov 2026 10:15:30 GMT` ) ).
    cl_abap_unit_assert=>assert_initial( zcl_tkw_time=>from_http_date( `Mon, 23 anF 2026 10:15:30 GMT` ) ).
    cl_abap_unit_assert=>assert_initial( zcl_tkw_time=>from_http_date( `2026-11-23T10:15:30Z` ) ).
    cl_abap_unit_assert=>assert_initial( zcl_tkw_time=>from_http_date( `` ) ).
  ENDMETHOD.

  METHOD seconds_over_midnight.
    same( got      = zcl_tkw_time=>add( moment  = '20261231235930'
                                        seconds = 45 )
          expected = '20270101000015' ).
    same( got      = zcl_tkw_time=>add( moment  = '20270101000015'
                                        seconds = -45 )
          expected = '20261231235930' ).
    same( got      = zcl_tkw_time=>day_of( '20261231235930' )
          expected = '20261231000000' ).
  ENDMETHOD.

  METHOD distance_signed_and_capped.
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_time=>between( first  = '20261123101530'
                                                                     second = '20261124101531' )
                                        exp = 86401 ).
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_time=>between( first  = '20261124101531'
                                                                     second = '20261123101530' )
                                        exp = -86401 ).
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_time=>between( first  = '20261123101530'
                                                                     second = '99991231235959' )
                                        exp = zcl_tkw_time=>c_for_ever ).
  ENDMETHOD.

  METHOD shown_is_readable.
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_time=>shown( '20261123101530' )
                                        exp = `2026-11-23 10:15:30` ).
  ENDMETHOD.

  METHOD now_is_a_moment.
    DATA now TYPE ztkw_moment.

    now = zcl_tkw_time=>now( ).
    cl_abap_unit_assert=>assert_equals( act = zcl_tkw_time=>add( moment  = now
                                                                 seconds = 0 )
                                        exp = now ).
  ENDMETHOD.

ENDCLASS.
